"""Every metric that Holdfast counts. What it looks at instead (jobs by state, depths, ages) is in `telemetry.census`.

Counters live in the memory of a process and begin at zero with it; the ledger is the truth, and a crash between a
commit and its count loses the count. `docs/metrics.md` is the table of all of them, written from here.
"""

from __future__ import annotations

from holdfast.domain.attempt import Refusal
from holdfast.domain.circuit import CircuitState, Reason
from holdfast.domain.dead_letter import DeadReason
from holdfast.domain.errors import RefusedFor
from holdfast.domain.refusal import REASONS
from holdfast.domain.topology import WORK
from holdfast.telemetry.families import OTHER, Label, Members, Teller, counter, gauge, histogram
from holdfast.telemetry.label_values import (
    FAMILIES,
    JOB_OUTCOMES,
    AttemptEnd,
    Called,
    GateSaid,
    LetterEnd,
    LoopName,
    Method,
    Published,
    Shared,
    StatusClass,
)

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""Buckets from 5 ms to 10 min: a webhook on the same machine, and a job that went through its retries."""


KINDS, ROUTES = Members(), Members()
_kind = Label("kind", KINDS, "a registered kind", open=True)
_API, _WORKER, _STEWARD = ({teller} for teller in (Teller.API, Teller.WORKER, Teller.STEWARD))

# Submitting
SUBMITTED = counter("holdfast_jobs_submitted", "Requests to accept a job, each of a batch.", _kind, by=_API)
REFUSED = counter(
    "holdfast_jobs_refused",
    "Requests that became no job, by why; `other` is the kind of those refused before it was looked at.",
    _kind,
    Label("reason", lambda: REASONS),
    by=_API,
)
DEDUPLICATED = counter(
    "holdfast_jobs_deduplicated", "Requests answered with the job that their key had made before.", _kind, by=_API
)
ACCEPTED = counter("holdfast_jobs_accepted", "Jobs committed: those asked for, and callbacks.", _kind)
GATE_ANSWERS = counter(
    "holdfast_gate_answers",
    "What the idempotency gate said of keys.",
    Label("answer", lambda: GateSaid),
    by=_API,
)
REDIS_UNAVAILABLE = counter(
    "holdfast_redis_unavailable", "Commands that Redis did not answer, or was spared after a failure."
)

# Running
QUEUE_WAIT = histogram(
    "holdfast_job_queue_wait_seconds",
    "From when a ticket was to run (written, its retry wait over) to its claim; redeliveries left out.",
    _kind,
    by=_WORKER,
    buckets=SECONDS,
)
RUN = histogram(
    "holdfast_job_run_seconds", "How long the handler of an attempt ran.", _kind, by=_WORKER, buckets=SECONDS
)
END_TO_END = histogram(
    "holdfast_job_end_to_end_seconds",
    "From acceptance to success or death; retries, asked-for delays and the time before a replay included.",
    _kind,
    by=_WORKER,
    buckets=SECONDS,
)
ATTEMPTS_STARTED = counter("holdfast_attempts_started", "Attempts claimed.", _kind, by=_WORKER)
ATTEMPTS = counter(
    "holdfast_attempts_ended",
    "Attempts that ended, by how; `retried` are the retries, `parked` those that cost nothing.",
    _kind,
    Label("end", lambda: AttemptEnd),
    by=_WORKER,
)
TICKETS_REFUSED = counter(
    "holdfast_tickets_refused",
    "Tickets that got no claim: duplicates, and what is out of date.",
    Label("reason", lambda: Refusal),
    by=_WORKER,
)
ENDED = counter(
    "holdfast_jobs_ended",
    "Jobs that ended, by how; a replayed one ends again.",
    _kind,
    Label("outcome", lambda: JOB_OUTCOMES),
)
WORKER_BUSY = gauge("holdfast_worker_busy", "Attempts under way.", by=_WORKER)
WORKER_CONCURRENCY = gauge(
    "holdfast_worker_concurrency", "Attempts that can be under way at once.", by=_WORKER, children="livemax"
)
CHILDREN_STARTED = counter(
    "holdfast_worker_processes_started",
    "Processes in which jobs run that this worker started; more than its concurrency means that some died.",
    by=_WORKER,
)

# Dead letters
LETTERS_FILED = counter(
    "holdfast_dead_letters_filed",
    "Dead letters filed: how fast they grow.",
    Label("reason", lambda: DeadReason),
    by=_STEWARD,
)
LETTERS_SETTLED = counter(
    "holdfast_dead_letters_settled",
    "Dead letters replayed or dropped.",
    Label("end", lambda: LetterEnd),
    by=_API,
)
TICKETS_REISSUED = counter(
    "holdfast_tickets_reissued", "Tickets that the broker gave up on though their job did nothing wrong.", by=_STEWARD
)

# Downstreams
DOWNSTREAM = Label(
    "downstream", lambda: FAMILIES, "the family of a downstream: `webhook`, `image-source`, …", open=True
)
CALLS = counter(
    "holdfast_downstream_calls",
    "Calls of downstreams that say anything about their health.",
    DOWNSTREAM,
    Label("result", lambda: Called),
    by=_WORKER,
)
NOT_NOW = counter(
    "holdfast_downstream_refusals",
    "Calls that a breaker, a limit or an operator did not let through: their attempts are parked.",
    DOWNSTREAM,
    Label("reason", lambda: Reason),
    by=_WORKER,
)
BREAKER_MOVES = counter(
    "holdfast_breaker_transitions",
    "Moves of circuit breakers, by where to; told by the process that caused it.",
    DOWNSTREAM,
    Label("to", lambda: CircuitState),
    by=_WORKER,
)
BREAKERS_ALONE = gauge(
    "holdfast_breakers_alone", "Processes that go by breakers of their own, because Redis is away.", by=_WORKER
)

# The way to the broker
PUBLISHED = counter(
    "holdfast_publisher_messages",
    "Messages given to the publisher, by what became of them.",
    Label("result", lambda: Published),
)
CONFIRM = histogram(
    "holdfast_publisher_confirm_seconds",
    "From the arrival of a message, or of several at once, at the publisher to the last of the confirms.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
IN_FLIGHT = gauge("holdfast_publisher_in_flight", "Messages written and not confirmed yet.")
WINDOW = gauge(
    "holdfast_publisher_window", "Most messages that one process writes without a confirm.", children="livemax"
)
CONNECTED = gauge("holdfast_publisher_connected", "Open, unblocked connections of the publisher.")
SHARED_ITEMS = histogram(
    "holdfast_ledger_batch_items",
    "How many jobs shared one statement of the ledger (group commit), or one question to the gate.",
    Label("statement", lambda: Shared),
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
SHARED_SECONDS = histogram(
    "holdfast_ledger_batch_seconds",
    "How long a shared statement or question took, a commit included.",
    Label("statement", lambda: Shared),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

# The steward
LEADING = gauge("holdfast_steward_leading", "1 in the process that is steward.", by=_STEWARD)
TERMS = counter("holdfast_steward_terms", "Times that this process was elected.", by=_STEWARD)
_loop = Label("loop", lambda: LoopName)
LOOP_SECONDS = histogram(
    "holdfast_steward_loop_seconds",
    "How long a turn of a steward's loop took.",
    _loop,
    by=_STEWARD,
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60),
)
LOOP_FAILURES = counter(
    "holdfast_steward_loop_failures", "Turns that a dependency kept from being done.", _loop, by=_STEWARD
)
TICKETS_SENT = counter(
    "holdfast_steward_tickets",
    "Tickets that the steward published: relayed, promoted, rescued, unparked, next of lanes.",
    Label("loop", lambda: (LoopName.RELAY, LoopName.PROMOTE, LoopName.RESCUE, LoopName.ADVANCE, LoopName.UNPARK)),
    by=_STEWARD,
)
TICKETS_REPLACED = counter(
    "holdfast_tickets_replaced",
    "Tickets written anew because they were lost.",
    Label("queue", lambda: WORK),
    by=_STEWARD,
)

# HTTP
_request = (
    Label("route", ROUTES, "a route of the api, as its template", open=True),
    Label("method", lambda: Method, open=True),
)
HTTP_REQUESTS = counter(
    "holdfast_http_requests",
    "Requests answered.",
    *_request,
    Label("status", lambda: StatusClass),
    by=_API,
    sparse=True,
)
HTTP_SECONDS = histogram(
    "holdfast_http_request_seconds",
    "From the head of a request to the end of its answer.",
    *_request,
    by=_API,
    sparse=True,
    buckets=SECONDS,
)
HTTP_IN_FLIGHT = gauge("holdfast_http_requests_in_flight", "Requests that are being answered.", by=_API)


def turned_away(reason: RefusedFor, jobs: int = 1) -> None:
    """Count requests that were refused before it was looked at what they ask for."""
    SUBMITTED.of(OTHER).inc(jobs)
    REFUSED.of(OTHER, reason).inc(jobs)
