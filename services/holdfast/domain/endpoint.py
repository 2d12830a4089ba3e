"""A webhook endpoint: where its webhooks go, what signs them, and whether any go at all.

                  ┌──operator──────────────► DISABLED ──┐
    ENABLED ──────┼──410 Gone──────────────► GONE ──────┼──operator──► ENABLED
       ▲          └──failed for too long───► FAILING ───┘
       └──────────────a probe was answered──────┘

Any of them can be DELETED, for good. While an endpoint is not ENABLED its jobs are parked. Only FAILING, which nobody
decided, ends by itself: a receiver that wants no more, or whom an operator turned off, is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

MAX_SECRETS = 5
"""Secrets in force at once: a rotation past that many ends the oldest."""


class EndpointState(StrEnum):
    """Whether webhooks are delivered, and if not, why."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    """By an operator."""
    FAILING = "failing"
    """By itself, after it had failed for too long; probed until it answers."""
    GONE = "gone"
    """It answered 410 Gone."""
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Patience:
    """When an endpoint has failed for too long, and how often it is probed from then on."""

    failures: int = 20
    """Attempts in a row, and"""
    lasting: timedelta = timedelta(hours=1)
    """time without a success: both must be reached."""
    probe_after: timedelta = timedelta(minutes=1)
    """Wait before the first probe; each further wait is twice as long."""
    probe_longest: timedelta = timedelta(hours=1)

    def probe_wait(self, probes: int) -> timedelta:
        """The wait after so many probes that failed."""
        return min(self.probe_after * float(2 ** min(probes, 20)), self.probe_longest)


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """A secret, sealed. It signs until it expires."""

    sealed: str
    created_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of a tenant. Times are UTC; `headers` has sealed values by name."""

    id: UUID
    tenant: str
    url: str
    created_at: datetime
    since: datetime
    """When it came into its state."""
    secrets: tuple[SigningSecret, ...] = ()
    """The newest first."""
    description: str = ""
    event_types: tuple[str, ...] = ()
    """What it wants; all when empty. `order.*` stands for every type below `order`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    state: EndpointState = EndpointState.ENABLED
    why: str | None = None
    """Why it is not enabled, in words."""
    failures: int = 0
    """Attempts that have failed since the last success."""
    failing_since: datetime | None = None
    probes: int = 0
    """Probes that have failed since it was disabled."""
    probe_at: datetime | None = None
    """When it is probed next."""
    version: int = 1

    def wants(self, event_type: str | None) -> bool:
        """Whether an event of this type is to be delivered; one without a type only goes to who wants all."""
        if not self.event_types:
            return True
        return event_type is not None and any(_covers(wanted, event_type) for wanted in self.event_types)

    def signing(self, now: datetime) -> tuple[SigningSecret, ...]:
        """The secrets that sign at `now`, the newest first."""
        return tuple(secret for secret in self.secrets if secret.expires_at is None or secret.expires_at > now)

    def rotated(self, sealed: str, now: datetime, overlap: timedelta) -> Endpoint:
        """With a new secret; those before it go on signing for `overlap`, if they have so long."""
        ends = now + overlap
        before = self.signing(now)[: MAX_SECRETS - 1] if overlap else ()
        still = [replace(it, expires_at=min(it.expires_at or ends, ends)) for it in before]
        return replace(self, secrets=(SigningSecret(sealed, now), *still))

    def enabled(self, now: datetime) -> Endpoint:
        """By an operator, or by an answered probe."""
        if self.state in {EndpointState.ENABLED, EndpointState.DELETED}:
            return self
        return self._moved(EndpointState.ENABLED, now, None)

    def disabled(self, now: datetime, why: str) -> Endpoint:
        """By an operator, whatever it was before."""
        if self.state is EndpointState.DELETED:
            return self
        return self._moved(EndpointState.DISABLED, now, why)

    def deleted(self, now: datetime) -> Endpoint:
        """Of what was secret nothing is kept."""
        if self.state is EndpointState.DELETED:
            return self
        return replace(self._moved(EndpointState.DELETED, now, None), secrets=(), headers={})

    def gone(self, now: datetime) -> Endpoint:
        """It has asked for no more."""
        if self.state is not EndpointState.ENABLED:
            return self
        return self._moved(EndpointState.GONE, now, "it answered 410 Gone: it wants no more webhooks")

    def delivered(self) -> Endpoint:
        """A webhook was taken."""
        return replace(self, failures=0, failing_since=None) if self.failures else self

    def failed(self, times: int, now: datetime, patience: Patience) -> Endpoint:
        """So many attempts in a row were not; FAILING once they have been too many for too long."""
        if self.state is not EndpointState.ENABLED:
            return self
        since, failures = self.failing_since or now, self.failures + times
        failing = replace(self, failures=failures, failing_since=since)
        if failures < patience.failures or now - since < patience.lasting:
            return failing
        why = f"{failures} attempts in a row have failed since {since.isoformat(timespec='seconds')}"
        moved = failing._moved(EndpointState.FAILING, now, why)
        return replace(moved, failures=failures, failing_since=since, probe_at=now + patience.probe_wait(0))

    def probed(self, answered: bool, now: datetime, patience: Patience) -> Endpoint:
        """A probe was answered with 2xx, or not."""
        if self.state is not EndpointState.FAILING:
            return self
        if answered:
            return self.enabled(now)
        probes = self.probes + 1
        return replace(self, probes=probes, probe_at=now + patience.probe_wait(probes))

    def _moved(self, state: EndpointState, now: datetime, why: str | None) -> Endpoint:
        return replace(self, state=state, since=now, why=why, failures=0, failing_since=None, probes=0, probe_at=None)


def _covers(wanted: str, event_type: str) -> bool:
    return event_type == wanted or (wanted.endswith(".*") and event_type.startswith(wanted[:-1]))
