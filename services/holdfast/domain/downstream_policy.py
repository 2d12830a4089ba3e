"""How much is asked of a downstream, and how much is put up with: one policy for each pattern of names, as data.

A name is `family:destination` (`webhook:api.example.com`, `pdf-engine:weasyprint`, a plug-in's `smtp:relay`). The most
specific pattern wins: the name itself before `family:*`, and `*` last. Operators override single fields of a pattern.

Times are integers in milliseconds and shares are integers per thousand, because the same arithmetic is done in Lua.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

BUCKETS = 10
"""Parts of the rolling window; the oldest is dropped as a new one begins."""


def _shares(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


@dataclass(frozen=True, slots=True)
class DownstreamPolicy:
    """The defaults are for a server on the internet that many jobs call."""

    window_ms: int = 60_000
    """Calls older than this are no evidence any more."""
    least_calls: int = 10
    """Calls in the window below which nothing is concluded."""
    failures_permille: int = 500
    """Share of failed calls at which the breaker opens."""
    slow_ms: int = 10_000
    """A call that took longer was slow."""
    slow_permille: int = 800
    """Share of slow calls at which the breaker opens."""
    open_ms: int = 5_000
    """The first open period; it doubles with every trip that follows one."""
    open_most_ms: int = 120_000
    """The longest open period, jitter apart."""
    jitter_permille: int = 300
    """Up to this share of the open period is added to it."""
    calm_ms: int = 300_000
    """A breaker that was closed for so long has its earlier trips forgotten."""
    probes: int = 3
    """Calls that may go through while it is half-open, in the whole cluster; all must succeed."""
    ramp_permille: tuple[int, ...] = (100, 300, 600)
    """Shares of the calls that are let through, step after step, once the probes have succeeded."""
    ramp_step_ms: int = 5_000
    """How long each step lasts."""
    ramp_failures: int = 1
    """Failures during the ramp that open it again."""
    witnesses: int = 2
    """Workers that must have seen failures before it opens, when more than one is alive."""
    lease_ms: int = 60_000
    """After this a call that never reported back is given up; longer than any call takes."""
    fresh_ms: int = 1_000
    """How long a process may go on by itself after it was told that nothing is the matter."""
    concurrency: int = 64
    """Calls at once, in the whole cluster, above which a limit that had to be set is dropped again."""
    least_concurrency: int = 2
    """A limit never falls below this."""
    rate: int = 200
    """Calls a second, in the whole cluster, above which a pace that had to be set is dropped again."""
    least_rate: int = 1
    """A pace never falls below this."""
    strict: bool = False
    """`concurrency` and `rate` hold at all times; every call asks Redis then."""
    ease_ms: int = 1_000
    """A limit is lowered at most once in this time, for one burst of refusals is one piece of news."""
    growth: int = 4
    """Answers that take so many times as long as usual lower the limit."""
    growth_least_ms: int = 500
    """But not answers that are faster than this."""
    retry_after_ms: int = 3_600_000
    """The most that a Retry-After can stop a destination for."""

    def __post_init__(self) -> None:
        for name in ("least_calls", "probes", "concurrency", "least_concurrency", "rate", "least_rate", "witnesses"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_ms") and value < 1:
                raise ValueError(f"{field.name.removesuffix('_ms')} must be at least 0.001 (seconds)")
            if field.name.endswith("_permille") and any(not 0 <= one <= 1000 for one in _shares(value)):
                raise ValueError(f"{field.name.removesuffix('_permille')} must lie between 0 and 1")
        if self.least_concurrency > self.concurrency or self.least_rate > self.rate:
            raise ValueError("least_concurrency and least_rate must not be larger than concurrency and rate")

    @property
    def bucket_ms(self) -> int:
        """The length of one part of the window."""
        return max(1, self.window_ms // BUCKETS)


BUILT_IN: Mapping[str, Mapping[str, Any]] = {
    "image-source:*": {"slow_ms": 20_000},
    "pdf-asset:*": {"slow_ms": 20_000},
    "pdf-engine:*": {"slow_ms": 45_000, "growth": 1_000, "lease_ms": 120_000, "least_calls": 6},
}
"""Where a family differs from the defaults. Documents differ in length by orders of magnitude, so a PDF engine is not
judged by the growth of its times."""


class Policies:
    """The policy of every name."""

    def __init__(self, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """`overrides` are fields by pattern, as people write them: times in seconds, shares between 0 and 1.

        Raise ValueError for a pattern or a field that does not exist, or a value that cannot be.
        """
        given = overrides or {}
        self._default = _overridden("*", DownstreamPolicy(), given.get("*", {}))
        self._families = {
            pattern: _overridden(pattern, replace(self._default, **BUILT_IN.get(pattern, {})), given.get(pattern, {}))
            for pattern in {*BUILT_IN, *(pattern for pattern in given if pattern.endswith(":*"))}
        }
        self._names = {
            pattern: _overridden(pattern, self._family(pattern), given[pattern])
            for pattern in given
            if pattern != "*" and pattern not in self._families
        }

    def of(self, name: str) -> DownstreamPolicy:
        """The policy of the most specific pattern that fits."""
        return self._names.get(name) or self._family(name)

    def _family(self, name: str) -> DownstreamPolicy:
        return self._families.get(f"{name.partition(':')[0]}:*", self._default)


def _overridden(pattern: str, base: DownstreamPolicy, given: Mapping[str, Any]) -> DownstreamPolicy:
    if not pattern or ("*" in pattern.removesuffix(":*") and pattern != "*"):
        raise ValueError(f"{pattern!r} is not a pattern; write a whole name, a family such as `webhook:*`, or `*`")
    known = {spoken(field.name): field.name for field in fields(DownstreamPolicy)}
    changes = {}
    for word, value in given.items():
        if word not in known:
            raise ValueError(f"{pattern}: there is no field {word!r}; known are {', '.join(sorted(known))}")
        try:
            changes[known[word]] = _counted(known[word], value)
        except (TypeError, ValueError):
            raise ValueError(f"{pattern}: {word} cannot be {value!r}") from None
    try:
        return replace(base, **changes)
    except ValueError as error:
        raise ValueError(f"{pattern}: {error}") from None


def spoken(field: str) -> str:
    """How people write a field: `open_ms` is `open`, in seconds; `slow_permille` is `slow_share`."""
    if field.endswith("_permille"):
        return f"{field.removesuffix('_permille')}_share"
    return field.removesuffix("_ms")


def _counted(field: str, value: Any) -> Any:
    """What people write, in the units of the arithmetic."""
    if field.endswith(("_ms", "_permille")):
        return tuple(_thousandths(one) for one in value) if field == "ramp_permille" else _thousandths(value)
    if field == "strict":
        if not isinstance(value, bool):
            raise TypeError
        return value
    if isinstance(value, bool) or int(value) != value:
        raise TypeError
    return int(value)


def _thousandths(value: float) -> int:
    return round(value * 1000)
