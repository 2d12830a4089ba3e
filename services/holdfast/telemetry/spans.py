"""The spans of a job's way, named and described by OpenTelemetry's semantic conventions for messaging and HTTP.

`telemetry.tracing` shows how they hang together. Each function costs next to nothing while tracing is off.
Payloads, paths and queries are no attributes: they may hold secrets.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from opentelemetry import trace
from opentelemetry.trace import SpanKind

from holdfast.domain.attempt import Claim
from holdfast.domain.dead_letter import DeadLetter, DeadMessage, Failure
from holdfast.domain.envelope import Envelope, Hints
from holdfast.domain.topology import DEAD, work_queue
from holdfast.domain.trace_context import trace_id
from holdfast.telemetry import tracing


def publishing(envelope: Envelope) -> AbstractContextManager[Envelope]:
    """Around a publication; yields the envelope to publish, which names this span as its origin."""
    return _publishing(envelope) if tracing.on() else nullcontext(envelope)


@contextmanager
def _publishing(envelope: Envelope) -> Iterator[Envelope]:
    route = envelope.route
    attributes = _message("publish", "send", f"{route.exchange}:{route.routing_key}", envelope.job_id) | {
        "messaging.rabbitmq.destination.routing_key": route.routing_key,
        "holdfast.job.kind": envelope.kind,
        "holdfast.job.attempt": envelope.attempt,
    }
    name, place = f"publish {route.exchange}", envelope.traceparent
    elsewhere = place is not None and trace_id(place) != trace_id(tracing.here())  # another job's, or nobody's
    with tracing.span(name, SpanKind.PRODUCER, attributes, parent=place, root=elsewhere):
        yield replace(envelope, traceparent=tracing.here())


def processing(claim: Claim, hints: Hints, now: datetime) -> AbstractContextManager[object]:
    """Around an attempt, after a span of the time that its ticket waited in the queue until `now`."""
    place = hints.traceparent or claim.job.traceparent
    return _processing(claim, hints, now, place) if tracing.on() else tracing.carrying(place)


@contextmanager
def _processing(claim: Claim, hints: Hints, now: datetime, place: str | None) -> Iterator[None]:
    job, queue = claim.job, work_queue(claim.job.queue)
    about: dict[str, Any] = {"holdfast.job.kind": job.kind, "holdfast.job.attempt": claim.attempt}
    if hints.ready_at is not None:
        tracing.past(f"wait {queue}", hints.ready_at, now, {"messaging.destination.name": queue} | about, place)
    attributes = _message("process", "process", queue, job.id) | about
    with tracing.span(f"process {queue}", SpanKind.CONSUMER, attributes, parent=place):
        yield


def settled(end: str, failure: Failure | None) -> None:
    """Say on the span of the attempt how it ended."""
    if tracing.on():
        current = trace.get_current_span()
        current.set_attribute("holdfast.attempt.end", end)
        if failure is not None:
            tracing.fail(current, failure.error)


def calling(downstream: str) -> AbstractContextManager[object]:
    """Around the question to a circuit breaker and the call that it lets through."""
    if not tracing.on():
        return nullcontext()
    family = downstream.partition(":")[0]
    return tracing.span(f"call {family}", attributes={"holdfast.downstream": downstream})


def requesting(method: str, host: str | None, port: int | None) -> AbstractContextManager[trace.Span | None]:
    """Around an HTTP request that goes out."""
    if not tracing.on():
        return nullcontext()
    attributes: dict[str, Any] = {"http.request.method": method, "server.address": host or "", "server.port": port or 0}
    return tracing.span(method, SpanKind.CLIENT, attributes)


def answered(made: trace.Span | None, status: int) -> None:
    """Say on the span of a request what came back."""
    if made is not None:
        made.set_attribute("http.response.status_code", status)
        if status >= 400:
            tracing.fail(made, str(status))


def archiving(message: DeadMessage) -> AbstractContextManager[object]:
    """Around the filing of a dead letter."""
    if not tracing.on():
        return nullcontext()
    attributes = _message("archive", "settle", DEAD, message.job_id)
    return tracing.span(f"archive {DEAD}", SpanKind.CONSUMER, attributes, parent=origin(message.headers))


def replaying(letter: DeadLetter) -> AbstractContextManager[object]:
    """Around a replay: the root of a new trace, linked to where the job died and to the request that asked for it."""
    if not tracing.on():
        return nullcontext()
    attributes = {"holdfast.job.id": str(letter.job_id), "holdfast.job.kind": letter.kind or ""}
    links = (origin(letter.headers), tracing.here())
    return tracing.span(f"replay {letter.kind}", attributes=attributes, root=True, links=links)


def origin(headers: Any) -> str | None:
    """The traceparent among a message's headers, which may hold anything."""
    found = headers.get("traceparent")
    return found if isinstance(found, str) else None


def _message(operation: str, kind: str, destination: str, job_id: UUID | None) -> dict[str, Any]:
    return {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": operation,
        "messaging.operation.type": kind,
        "messaging.destination.name": destination,
        "messaging.message.conversation_id": str(job_id),
        "holdfast.job.id": str(job_id),
    }
