"""One run: webhooks at a steady rate to a healthy host and, unless it is the baseline, to one that is sick.

The sick host is sick before the first webhook, stays so for a while after the last, and then heals. The run is over
when every accepted webhook has arrived, or when nothing is left that could still bring one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
from campaign.pace import Pace

from .receiver import TAKEN, Mode

Say = Callable[[str], None]
BASELINE = "baseline"
QUIET = 8.0
"""Seconds for which nothing may be left before a run counts as over: the broker's counts are up to 5 s stale."""
TELL_EVERY = 2.0
"""Seconds between two lines of progress."""
POSTERS = 48
"""Threads that post: many more than needed, so that one whose call is refused for a second makes no other late."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How many, how fast, how long."""

    jobs: int = 1000
    """To each host."""
    rate: float = 30.0
    """A second, to each host."""
    timeout: float = 5.0
    """Seconds that a sender waits for the receiver's answer."""
    hold: float = 1.0
    """Seconds that the host stays sick after the last webhook was posted."""
    drain: float = 90.0
    """Seconds after the healing within which a run must be over."""


@dataclass(frozen=True, slots=True)
class Outside:
    """The receiver: its port, and its hosts."""

    port: int
    healthy: str
    sick: dict[Mode, str]

    def hook(self, host: str) -> str:
        """The URL that webhooks go to."""
        return f"http://{host}:{self.port}/hook"

    def be(self, host: str, mode: Mode) -> None:
        """Let a host fall ill, or heal."""
        httpx.put(f"{self._control}/mode/{host}/{mode}", timeout=30).raise_for_status()

    def count(self, run: str) -> dict[str, int]:
        """How many calls, how many orders taken."""
        found: dict[str, int] = httpx.get(f"{self._control}/count/{run}", timeout=30).json()
        return found

    def calls(self, run: str) -> list[Call]:
        """Every call of a run, in the order of their arrival."""
        return [Call(**call) for call in httpx.get(f"{self._control}/calls/{run}", timeout=30).json()]

    @property
    def _control(self) -> str:
        return f"http://{self.healthy}:{self.port}"


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook to be sent. `number` is its number within its run."""

    number: int
    run: str
    url: str
    timeout: float

    @property
    def body(self) -> dict[str, Any]:
        """What the receiver needs to know."""
        return {"run": self.run, "order": self.number}


@dataclass(frozen=True, slots=True)
class Call:
    """One call as the receiver saw it; times are seconds since the epoch. One without a status was hung up on."""

    order: int
    host: str
    begun: float
    ended: float | None
    status: int | None

    @property
    def taken(self) -> bool:
        """Whether the webhook was delivered by it."""
        return self.status == TAKEN and self.ended is not None


class Side(Protocol):
    """A sender of webhooks under test."""

    name: str

    def post(self, webhook: Webhook) -> None:
        """Hand over one webhook; return when it is accepted, raise when it is not."""

    def left(self, run: str) -> int:
        """How many webhooks of the run may still be sent."""

    def more(self, run: Run) -> dict[str, Any]:
        """What the side itself knows of a run that is over."""


@dataclass(slots=True)
class Run:
    """What was posted and what arrived. Times are seconds since the epoch."""

    side: str
    label: str
    scale: Scale
    hook: str | None
    """The URL at the sick host, if there is one."""
    begun: float = 0.0
    posted: float = 0.0
    """When the last webhook had been accepted."""
    healed: float = 0.0
    over: float = 0.0
    accepted_at: dict[int, float] = field(default_factory=dict)
    """When each webhook was accepted: the api had answered 202, or `delay()` had returned."""
    refused: dict[int, str] = field(default_factory=dict)
    """Webhooks that were not accepted, and why."""
    calls: Sequence[Call] = ()

    @property
    def host(self) -> str | None:
        """The sick one, if there is one."""
        return urlsplit(self.hook).hostname if self.hook else None

    @property
    def name(self) -> str:
        """As the tables call it."""
        return f"{self.side} {self.label}"

    @property
    def orders(self) -> list[int]:
        """The numbers of all webhooks in the order of posting: even ones go to the healthy host, odd to the sick."""
        return list(range(0, 2 * self.scale.jobs, 1 if self.host else 2))

    @property
    def delivered(self) -> dict[int, float]:
        """When each webhook that arrived had first been answered."""
        first: dict[int, float] = {}
        for call in self.calls:
            if call.taken and call.ended is not None:
                first[call.order] = min(call.ended, first.get(call.order, call.ended))
        return first

    @property
    def at_sick(self) -> list[Call]:
        """The calls to the sick host."""
        return [call for call in self.calls if call.host == self.host]

    def due(self, order: int) -> float:
        """When this webhook was to be posted, whether or not the poster was in time."""
        return self.begun + order / (2 * self.scale.rate)


def carry_out(side: Side, outside: Outside, scale: Scale, sickness: Mode | None, say: Say, label: str = "") -> Run:
    """One run from the first webhook to the last delivery."""
    host = outside.sick[sickness] if sickness else None
    run = Run(side.name, label or sickness or BASELINE, scale, outside.hook(host) if host else None)
    if sickness and host:
        outside.be(host, sickness)
    _post(side, outside, run, say)
    if host:
        _look(lambda: False, within=scale.hold, tell=lambda: say(_line(run, outside, "all posted, still sick")))
        outside.be(host, Mode.HEALTHY)
    run.healed = time.time()
    _drain(side, outside, run, say)
    run.over, run.calls = time.time(), outside.calls(run.name)
    return run


def _post(side: Side, outside: Outside, run: Run, say: Say) -> None:
    def post(number: int) -> None:
        url = run.hook if number % 2 and run.hook else outside.hook(outside.healthy)
        try:
            side.post(Webhook(number, run.name, url, run.scale.timeout))
            run.accepted_at[number] = time.time()
        except Exception as error:  # whatever it raises, the caller has no webhook
            run.refused[number] = f"{type(error).__name__}: {error}"

    pace = Pace(run.orders, run.scale.rate * (2 if run.host else 1), post, threads=POSTERS)
    run.begun = time.time()
    pace.start()
    lasting = len(run.orders) / pace.rate
    _look(lambda: not pace.busy, within=4 * lasting, tell=lambda: say(_line(run, outside, f"posting, {lasting:.0f} s")))
    run.posted = time.time()


def _drain(side: Side, outside: Outside, run: Run, say: Say) -> None:
    """Wait until all has arrived, or nothing has been left for QUIET seconds, or the time is up."""
    left, last_seen = 1, time.monotonic()

    def over() -> bool:
        return outside.count(run.name)["taken"] >= len(run.accepted_at) or time.monotonic() - last_seen > QUIET

    def tell() -> None:
        nonlocal left, last_seen
        left = side.left(run.name)
        last_seen = time.monotonic() if left else last_seen
        say(_line(run, outside, f"healed, {left} left"))

    _look(over, within=run.scale.drain, tell=tell)


def _look(done: Callable[[], bool], *, within: float, tell: Callable[[], None]) -> None:
    """Look until it is done or the time is up, and tell every two seconds how far it is."""
    begun = told = time.monotonic()
    while time.monotonic() - begun < within and not done():
        if time.monotonic() - told >= TELL_EVERY:
            told = time.monotonic()
            tell()
        time.sleep(0.2)


def _line(run: Run, outside: Outside, what: str) -> str:
    seen = outside.count(run.name)
    return (
        f"{run.name:<18} {time.time() - run.begun:4.0f} s  delivered {seen['taken']:>5}/{len(run.orders)}  "
        f"calls {seen['calls']:>5}  answered 503 {seen['refused']:>4}  {what}"
    )
