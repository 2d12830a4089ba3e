"""The closed sets that labels of metrics are taken from, where the domain has none of its own."""

from __future__ import annotations

from enum import StrEnum

from holdfast.domain.dead_letter import DeadReason, Failure
from holdfast.domain.job import JobState
from holdfast.telemetry.families import OTHER

JOB_OUTCOMES = (JobState.SUCCEEDED, JobState.CANCELLED, *DeadReason)
"""How a job ends: well, by its client's will, or dead for a reason."""


class AttemptEnd(StrEnum):
    """How a claimed attempt ended."""

    SUCCEEDED = "succeeded"
    RETRIED = "retried"
    PARKED = "parked"
    BURIED = "buried"
    """The job died in it."""
    RETURNED = "returned"
    """It was given back: the worker was stopping, or the ledger did not take its outcome."""
    SUPERSEDED = "superseded"
    """Its claim had been voided: cancelled, or taken over."""


class GateSaid(StrEnum):
    """What the idempotency gate answered."""

    HELD = "held"
    """The key was new."""
    IN_FLIGHT = "in_flight"
    KNOWN = "known"
    UNAVAILABLE = "unavailable"


class Published(StrEnum):
    """What became of a message."""

    CONFIRMED = "confirmed"
    RETURNED = "returned"
    """No queue was bound for its key."""
    NACKED = "nacked"
    LOST = "lost"
    """The connection was lost or blocked, or no confirm came in time; it may have arrived."""


class Shared(StrEnum):
    """The statements, and the questions to the gate, that concurrent callers share."""

    HOLD = "hold"
    ACCEPT = "accept"
    REMEMBER = "remember"
    CLAIM = "claim"
    SETTLE = "settle"
    CONFIRMED = "confirmed"
    DELIVERIES = "deliveries"


class Called(StrEnum):
    """What came of a call of a downstream."""

    OK = "ok"
    SLOW = "slow"
    FAILED = "failed"
    """By its own fault."""


class LetterEnd(StrEnum):
    """What was decided about a dead letter."""

    REPLAYED = "replayed"
    DROPPED = "dropped"


class LoopName(StrEnum):
    """The loops of the steward."""

    TOPOLOGY = "topology"
    RELAY = "relay"
    PROMOTE = "promote"
    RESCUE = "rescue"
    ADVANCE = "advance"
    UNPARK = "unpark"
    PROBE = "probe"
    CONSERVE = "conserve"
    RETAIN = "retain"
    DOWNSTREAMS = "downstreams"
    WAITING = "waiting"
    BACKLOG = "backlog"
    ARCHIVE = "archive"


class Method(StrEnum):
    """The methods of HTTP."""

    GET = "GET"
    HEAD = "HEAD"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"
    OPTIONS = "OPTIONS"


class StatusClass(StrEnum):
    """The first digit of an answer's status; `none` when the client went away before there was one."""

    INFORMATION = "1xx"
    SUCCESS = "2xx"
    REDIRECTION = "3xx"
    CLIENT_ERROR = "4xx"
    SERVER_ERROR = "5xx"
    NONE = "none"


def job_outcome(state: JobState, failure: Failure | None) -> JobState | DeadReason:
    """What `holdfast_jobs_ended` says of a job that ended in `state`."""
    return failure.reason if failure is not None and failure.reason is not None else state


FAMILIES = ("webhook", "image-source", "pdf-asset", "pdf-engine")
"""The families of downstreams that the built-in kinds call; what plug-ins call is `other`."""


def family_name(downstream: str) -> str:
    """The family of `webhook:api.example.com`, as a label may say it: hosts are clients' text."""
    family = downstream.partition(":")[0]
    return family if family in FAMILIES else OTHER
