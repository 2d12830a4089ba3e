"""What is measured: one function each, which starts what it needs and returns what it found."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

import psutil
import pyvips
from assets import photograph
from campaign.world import Sandbox, own_ports, serving

from holdfast.client import Holdfast
from holdfast.client.models import JobRequest

from .answers import by_second
from .growth import growth
from .watch import Figures, summary
from .world import PLAIN, Offer, World, adds_up, keep_offering, offer, offer_batches, world
from .world import drain as drained

WEBHOOKS = {"worker-webhook": "worker-webhook"}
FOUR_NOOP = {f"worker-webhook-{number}": "worker-webhook" for number in (1, 2, 3, 4)}
FOUR_MIXED = {f"worker-{role}-{number}": f"worker-{role}" for role in ("render", "webhook") for number in (1, 2)}
MIX_A_MINUTE = 12_000
PROMISED_RATE = 500
SETTLING = 3.0
"""Seconds after the start after which a process counts as at rest."""


def rest(place: Sandbox, _: float) -> Figures:
    """Resident memory of each kind of process: after its start, and after it has worked."""
    with world(place, WEBHOOKS | {"worker-render": "worker-render"}) as here:
        time.sleep(SETTLING)
        fresh = _memory(here)
        keep_offering(here, 100, 5)
        time.sleep(SETTLING)
        return {"after the start": fresh, "after 500 jobs": _memory(here)}


def steady(place: Sandbox, lasting: float) -> Figures:
    """500 a second, open loop, with a worker that settles them meanwhile."""
    with world(place, WEBHOOKS) as here:
        _warm_up(here)
        made = keep_offering(here, PROMISED_RATE, lasting)
        return adds_up(here, made) | {"by second": by_second(made.answers)}


def enqueue(place: Sandbox, lasting: float) -> Figures:
    """500 a second, open loop, while no worker runs: what accepting takes by itself. They are settled afterwards."""
    with world(place, {}) as here:
        _warm_up(here)
        made = keep_offering(here, PROMISED_RATE, lasting, drain=0)
        here.running.start("worker-webhook")
        here.drained(within=120)
        return adds_up(here, made) | {"by second": by_second(made.answers)}


def ramp(place: Sandbox, lasting: float) -> Figures:
    """From nothing to three times what the api sustains, with its defaults: what gets slow, and what is refused."""
    top = 3 * _sustained(place)
    with world(place, WEBHOOKS) as here:
        _warm_up(here)
        made = offer(here, "ramp", lasting, RATE=round(top))
        return adds_up(here, made) | {"top": round(top), "by second": by_second(made.answers)}


def burst(place: Sandbox, lasting: float) -> Figures:
    """Twice what the api sustains for some seconds: how the backlog grows, and how it is worked off."""
    rate = 2 * _sustained(place)
    with world(place, WEBHOOKS) as here:
        _warm_up(here)
        made = offer(here, "burst", lasting, RATE=round(rate))
        return adds_up(here, made) | {"rate": round(rate), "by second": by_second(made.answers), "curve": _curve(made)}


def soak(place: Sandbox, lasting: float) -> Figures:
    """Half of what the api sustains for a long time: whether anything grows."""
    rate = _sustained(place) / 2
    with world(place, WEBHOOKS) as here:
        _warm_up(here)
        made = offer(here, "soak", lasting, RATE=round(rate))
        return adds_up(here, made) | {"rate": round(rate), "memory": _growth(made)}


def mixed(place: Sandbox, lasting: float) -> Figures:
    """12,000 jobs a minute of all kinds on four workers, with pictures and documents among them."""
    (port,) = own_ports(1)
    receiver = f"http://127.0.0.1:{port}"
    arguments = (str(port), "127.0.0.1", "--after", "0.05")
    with (
        world(place, FOUR_MIXED, worker_concurrency_render=1) as here,
        serving(place.root, "sick.receiver", *arguments, answers=f"{receiver}/count/none"),
    ):
        mix = _mix(here, f"{receiver}/hook")
        made = keep_offering(here, MIX_A_MINUTE / 60, lasting, jobs=_wheel(mix))
        found = adds_up(here, made)
        return found | {
            "mix": {job["kind"]: places / 100 for places, job in mix},
            "jobs a minute": round(60 * found["accepted"] / (made.seconds + made.drained)),
            "curve": _curve(made),
        }


def drain(place: Sandbox, lasting: float) -> Figures:
    """A backlog of no-ops, and four workers: settled a second."""
    jobs = max(2_000, round(1_000 * lasting))
    with world(place, {}) as here, Holdfast(here.running.url) as client:
        requests = [JobRequest(**PLAIN) for _ in range(jobs)]
        taken = [it for first in range(0, jobs, 1_000) for it in client.batch(requests[first : first + 1_000])]
        return drained(here, sum(outcome.job is not None for outcome in taken), FOUR_NOOP)


def batch(place: Sandbox, lasting: float) -> Figures:
    """Batches of a thousand: durable jobs a second. The ledger has each of them."""
    with world(place, {}) as here:
        made = offer_batches(here, lasting, callers=4)
        taken = sum(int(count) for _, count, _ in made.lines)
        begun = min(int(at) - float(ms) for at, _, ms in made.lines) / 1000
        ended = max(int(at) for at, _, _ in made.lines) / 1000
        has = here.waiting()
        if has != taken:
            raise RuntimeError(f"{taken} jobs were accepted, and the ledger has {has}")
        return {
            "jobs": taken,
            "a second": round(taken / (ended - begun), 1),
            "answer ms": round(median(float(ms) for *_, ms in made.lines), 1),
            **summary(made.looks),
        }


def _warm_up(here: World) -> None:
    offer(here, "closed", 3, drain=0, callers=4)  # there may be no worker


def _sustained(place: Sandbox) -> float:
    """Accepted a second when sixteen callers set the pace, of an api that sheds nothing: who is refused comes back at
    once, and would say nothing about what it sustains."""
    with world(place, WEBHOOKS, shed_load=False) as here:
        _warm_up(here)
        made = offer(here, "closed", 5, callers=16)
        return sum(answer.accepted for answer in made.answers) / 5


def _memory(here: World) -> Figures:
    """Resident megabytes; of a worker with children, of the largest child too."""
    found = {}
    for name, member in here.running.members.items():
        process = psutil.Process(member.process.pid)
        found[name] = round(process.memory_info().rss / 1e6)
        below = [child.memory_info().rss / 1e6 for child in process.children()]
        if below:
            found[f"{name}, child"] = round(max(below))
    return found


def _mix(here: World, hook: str) -> list[tuple[int, Figures]]:
    """Places of a hundred, and the job: real pictures and documents, and webhooks to a receiver that takes 50 ms."""
    picture = pyvips.Image.thumbnail_buffer(photograph(), 1280).jpegsave_buffer(Q=85)
    with Holdfast(here.running.url) as client:
        source = {"upload": client.upload(picture, "image/jpeg").id}
    variants = [{"name": "small", "width": 320, "format": "jpeg"}]
    page = "<h1>Invoice</h1><p>Harbour dues, two days.</p>"
    return [
        (59, PLAIN),
        (30, {"kind": "webhook.dispatch", "payload": {"url": hook, "body": {"run": "mixed", "order": 1}}}),
        (10, {"kind": "image.transform", "payload": {"source": source, "variants": variants}}),
        (1, {"kind": "pdf.render", "payload": {"html": page}}),
    ]


def _wheel(mix: list[tuple[int, Figures]]) -> list[Figures]:
    """Its hundred places. 37 and 100 have no factor in common: each is met once, and the kinds are spread."""
    places = [job for number, job in mix for _ in range(number)]
    return [places[place * 37 % len(places)] for place in range(len(places))]


def _curve(made: Offer) -> list[tuple[float, int]]:
    """Jobs that wait, by seconds since the first look."""
    return [(round(look["at"] - made.looks[0]["at"], 1), look["waiting"]) for look in made.looks]


def _growth(made: Offer) -> Figures:
    """Megabytes of each process, in the mean of the first tenth and of the last."""
    tenth = max(1, len(made.looks) // 10)
    begin, end = made.looks[:tenth], made.looks[-tenth:]
    return {
        name: [round(sum(look["memory"][name] for look in looks) / tenth, 1) for looks in (begin, end)]
        for name in begin[0]["memory"]
    }


MEASURES: Mapping[str, tuple[Callable[[Sandbox, float], Figures], float]] = {
    "rest": (rest, 5.0),
    "enqueue": (enqueue, 20.0),
    "steady": (steady, 20.0),
    "batch": (batch, 10.0),
    "drain": (drain, 10.0),
    "ramp": (ramp, 60.0),
    "burst": (burst, 8.0),
    "mixed": (mixed, 60.0),
    "soak": (soak, 60.0),
    "growth": (growth, 5.0),
}
"""Each with its usual length in seconds, without what it takes to start and to settle."""
