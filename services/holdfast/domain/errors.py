"""Every error that Holdfast raises on purpose, in one tree.

    HoldfastError
    ├── IllegalTransition          the state machine was asked for a move it does not have
    ├── RequestRefused             the caller must change something
    │   ├── UnknownKind
    │   ├── InvalidField           names the field
    │   ├── IdempotencyMismatch    same key, another request
    │   ├── RequestInFlight        same key, first request not answered yet
    │   ├── NotFound
    │   └── NotCancellable
    ├── Unavailable                a dependency does not answer; try again
    │   ├── LedgerUnavailable
    │   ├── BrokerUnavailable
    │   │   └── Unroutable         the broker answers, but no queue is bound
    │   ├── RedisUnavailable
    │   └── ArtifactsUnavailable
    ├── NotAdmitted                nothing is wrong with the request, but no more is taken now: come back later
    │   ├── RateLimited            the caller sends more than it may
    │   ├── Overloaded             more comes than this process can answer in good time
    │   ├── BacklogFull            too many jobs wait before this one
    │   └── OutboxFull             the broker has been away for so long that too much waits for it
    ├── StaleClaim                 another worker took the attempt over; this one's result is void
    └── HandlerError               raised inside a handler, turned into an outcome by `engine.execute`
        ├── Rejected               this job can never succeed: dead-letter it
        └── TryLater               this attempt failed: retry it

A message says what failed, why, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from uuid import UUID


class HoldfastError(Exception):
    """The root of all errors that Holdfast raises on purpose."""


class IllegalTransition(HoldfastError):
    """A job was asked to move to a state that its present state does not lead to."""

    def __init__(self, job_id: UUID, state: str, to: str) -> None:
        super().__init__(f"job {job_id} is {state} and cannot become {to}")
        self.job_id, self.state, self.to = job_id, state, to


class RequestRefused(HoldfastError):
    """The request cannot be taken as it is; the message says what to change."""


class UnknownKind(RequestRefused):
    """No handler is registered for the kind."""

    def __init__(self, kind: str, known: Sequence[str]) -> None:
        super().__init__(f"no handler is registered for the kind {kind!r}; known kinds: {', '.join(sorted(known))}")
        self.kind, self.known = kind, tuple(sorted(known))


class InvalidField(RequestRefused):
    """One or more fields of a request are wrong; `problems` has (JSON pointer, message) pairs."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{pointer}: {message}" for pointer, message in problems))
        self.problems = tuple(problems)


class IdempotencyMismatch(RequestRefused):
    """The key was used before with another request; `differs` names the fields that are not the same."""

    def __init__(self, key: str, differs: Sequence[str]) -> None:
        super().__init__(
            f"the Idempotency-Key {key!r} was already used for another request, which differs in "
            f"{', '.join(differs) or 'its body'}; send the same request again, or a new key"
        )
        self.key, self.differs = key, tuple(differs)


class RequestInFlight(RequestRefused):
    """The first request with this key has not been answered yet."""

    def __init__(self, key: str, retry_after: timedelta) -> None:
        super().__init__(f"a request with the Idempotency-Key {key!r} is still being handled; send it again shortly")
        self.key, self.retry_after = key, retry_after


class NotFound(RequestRefused):
    """There is no such thing, or it belongs to another tenant (which is not told apart on purpose)."""


class NotCancellable(RequestRefused):
    """The job is in a state from which it cannot be cancelled."""

    def __init__(self, job_id: UUID, state: str) -> None:
        super().__init__(f"job {job_id} is {state}; only a job that has not ended can be cancelled")
        self.job_id, self.state = job_id, state


class Unavailable(HoldfastError):
    """A dependency does not answer. Nothing is lost; the same call may succeed later."""

    dependency = "a dependency"


class LedgerUnavailable(Unavailable):
    """Postgres does not answer."""

    dependency = "postgres"


class BrokerUnavailable(Unavailable):
    """RabbitMQ does not answer, or did not confirm in time. The message may still arrive later."""

    dependency = "rabbitmq"


class Unroutable(BrokerUnavailable):
    """RabbitMQ returned a mandatory message: no queue is bound for its routing key."""


class RedisUnavailable(Unavailable):
    """Redis does not answer; Postgres alone still keeps every promise."""

    dependency = "redis"


class ArtifactsUnavailable(Unavailable):
    """The artifact store does not answer."""

    dependency = "artifacts"


class ProtectionUnavailable(Unavailable):
    """Nobody holds on to this process; it may be stopped like any other."""

    dependency = "ecs"


class RefusedFor(StrEnum):
    """Why a request is not admitted: what operators count."""

    RATE_LIMIT = "rate_limit"
    OVERLOAD = "overload"
    BACKLOG = "backlog"
    OUTBOX_FULL = "outbox_full"


class NotAdmitted(HoldfastError):
    """No more is taken now, whatever the request is. Nothing was written; `retry_after` is when to send it again."""

    reason: RefusedFor
    retry_after: timedelta


class RateLimited(NotAdmitted):
    """The caller has used up what it may send; `violated` names the limits, as the RateLimit header does."""

    reason = RefusedFor.RATE_LIMIT

    def __init__(self, violated: Sequence[str], retry_after: timedelta) -> None:
        super().__init__(
            f"more jobs came than the rate limit of this {' and this '.join(violated)} lets through; "
            "send the same request again after Retry-After, or spread the load"
        )
        self.violated, self.retry_after = tuple(violated), retry_after


class Overloaded(NotAdmitted):
    """The process has as much under way as it can answer in good time."""

    reason = RefusedFor.OVERLOAD

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__(
            "more requests come than this process can answer in good time; nothing was done, "
            "send the same request again after Retry-After"
        )
        self.retry_after = retry_after


class BacklogFull(NotAdmitted):
    """So many jobs wait in a queue that one more of this priority would wait for too long."""

    reason = RefusedFor.BACKLOG

    def __init__(self, queue: str, priority: str, ready: int, wait: timedelta | None, retry_after: timedelta) -> None:
        lasting = f", which takes about {wait.total_seconds():.0f} s" if wait is not None else ""
        super().__init__(
            f"{ready} jobs wait in the queue {queue!r}{lasting}: too many for one more of priority {priority}; nothing "
            "was done, send the same request again after Retry-After"
        )
        self.queue, self.priority, self.ready, self.retry_after = queue, priority, ready, retry_after


class OutboxFull(NotAdmitted):
    """So many messages wait for a broker that is away that no more jobs are accepted."""

    reason = RefusedFor.OUTBOX_FULL
    retry_after = timedelta(seconds=15)

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"{limit} messages wait for RabbitMQ, so no more jobs are accepted until it takes them; "
            "bring RabbitMQ back, or raise HOLDFAST_OUTBOX_LIMIT"
        )
        self.limit = limit


class StaleClaim(HoldfastError):
    """The fencing token is no longer the current one: another worker took over, or the job was cancelled."""

    def __init__(self, job_id: UUID, attempt: int) -> None:
        super().__init__(f"the claim on attempt {attempt} of job {job_id} was taken over; its result is void")
        self.job_id, self.attempt = job_id, attempt


class HandlerError(HoldfastError):
    """Raised inside a handler to end the attempt; `error` is its stable name in the ledger and the API."""

    def __init__(self, message: str, *, error: str | None = None) -> None:
        super().__init__(message)
        self.error = error or type(self).__name__


class Rejected(HandlerError):
    """The job can never succeed (bad input, a 4xx from the receiver): no retry, straight to the dead letters."""


class TryLater(HandlerError):
    """The attempt failed but a later one may succeed. `after` is the least wait that the other side asked for."""

    def __init__(self, message: str, *, error: str | None = None, after: timedelta | None = None) -> None:
        super().__init__(message, error=error)
        self.after = after
