"""Traces: one from the HTTP request through the broker and every attempt to the downstream, by OpenTelemetry.

    POST /v1/jobs  (server)                       continues the caller's traceparent
      └─ publish holdfast.jobs  (producer)        its traceparent travels in the message
           ├─ wait holdfast.webhook               from when the ticket was to run until its claim
           └─ process holdfast.webhook (consumer) one attempt
                ├─ call webhook                   what the circuit breaker said
                │    └─ POST  (client)            its traceparent goes to the receiver of a webhook
                └─ publish holdfast.retry         a retry goes on in the same trace

    replay webhook.dispatch                       a new trace, with a link to where the job died

The job's row keeps the traceparent of the request, or of the replay: what the steward publishes goes on from there.

Spans are exported by OTLP over HTTP when the standard variables ask for it (`OTEL_EXPORTER_OTLP_ENDPOINT`,
`OTEL_TRACES_SAMPLER`, …). Otherwise no SDK is loaded, `span` does nothing, and the caller's traceparent is passed on
as it came. An exporter that fails costs spans, never a job: they wait in a bounded queue, beside the work.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from opentelemetry import trace
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import AttributeValue

from holdfast import __version__
from holdfast.domain.trace_context import sound

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

log = structlog.get_logger(__name__)

Attributes = Mapping[str, AttributeValue]

FLUSH = 5_000
"""Milliseconds that a stopping process gives its exporter for what it has not sent yet."""

_tracer: trace.Tracer | None = None
_provider: TracerProvider | None = None
_carried: ContextVar[str | None] = ContextVar("holdfast_traceparent", default=None)
"""What to pass on while no spans are made."""
_OFF = nullcontext[trace.Span | None](None)


def start(role: str) -> None:
    """Make spans from now on, if the environment asks for it; in a worker that forks, after the fork."""
    if not wanted(os.environ):
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    export(OTLPSpanExporter(), role)
    log.info("tracing_started", role=role)


@asynccontextmanager
async def started(role: str) -> AsyncIterator[None]:
    """Make spans while in this context, if the environment asks for it."""
    start(role)
    try:
        yield
    finally:
        await asyncio.to_thread(stop)


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether the standard variables ask for traces over OTLP."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    exporters = environment.get("OTEL_TRACES_EXPORTER") or ("otlp" if any(map(environment.get, endpoints)) else "none")
    return "otlp" in exporters.split(",")


def export(exporter: SpanExporter, role: str) -> None:
    """Make spans and give them to `exporter`, in batches and from a thread of its own."""
    global _tracer, _provider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME", f"holdfast-{role}")
    about = {"service.name": name, "service.version": __version__, "service.instance.id": f"{role}:{os.getpid()}"}
    _provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    _provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = _provider.get_tracer("holdfast", __version__)


def stop() -> None:
    """Send what has not been sent, and make no more spans."""
    global _tracer, _provider
    provider, _tracer, _provider = _provider, None, None
    if provider is not None:
        provider.force_flush(FLUSH)
        provider.shutdown()


def on() -> bool:
    """Whether spans are made."""
    return _tracer is not None


def span(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Attributes | None = None,
    *,
    parent: str | None = None,
    root: bool = False,
    links: Sequence[str | None] = (),
) -> AbstractContextManager[trace.Span | None]:
    """A span around what is done in this context, None while tracing is off.

    Its parent is the span around it; without one, or when that is not asked (`root`), the place that `parent` names.
    """
    return _OFF if _tracer is None else _span(_tracer, name, kind, attributes, parent, root, links)


@contextmanager
def _span(
    tracer: trace.Tracer,
    name: str,
    kind: SpanKind,
    attributes: Attributes | None,
    parent: str | None,
    root: bool,
    links: Sequence[str | None],
) -> Iterator[trace.Span]:
    around = trace.get_current_span().get_span_context()
    place = None if around.is_valid and not root else trace.set_span_in_context(_remote(parent))
    linked = [Link(_context(link)) for link in links if sound(link)]
    with tracer.start_as_current_span(name, place, kind, attributes, linked) as made:
        yield made


def past(name: str, began: datetime, ended: datetime, attributes: Attributes, parent: str | None) -> None:
    """A span of something that is over; nothing while tracing is off."""
    if _tracer is not None:
        context = trace.set_span_in_context(_remote(parent))
        made = _tracer.start_span(name, context, attributes=attributes, start_time=_nanoseconds(began))
        made.end(max(_nanoseconds(ended), _nanoseconds(began)))


def fail(made: trace.Span | None, error: str, why: str = "") -> None:
    """Mark a span as failed, with the stable name of its error."""
    if made is not None:
        made.set_attribute("error.type", error)
        made.set_status(Status(StatusCode.ERROR, why or error))


class carrying:  # noqa: N801 - read as a verb, like `span`
    """Lets `here` be this while no spans are made."""

    __slots__ = ("_before", "_traceparent")

    def __init__(self, traceparent: str | None) -> None:
        self._traceparent = sound(traceparent)

    def __enter__(self) -> None:
        self._before = _carried.set(self._traceparent)

    def __exit__(self, *_: object) -> None:
        _carried.reset(self._before)


def here() -> str | None:
    """The traceparent to hand on: of the current span, or the one that came, or None."""
    if _tracer is not None:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    return _carried.get()


def _remote(traceparent: str | None) -> trace.Span:
    return NonRecordingSpan(_context(traceparent)) if sound(traceparent) else trace.INVALID_SPAN


def _context(traceparent: str | None) -> SpanContext:
    _, trace_id, span_id, flags = (sound(traceparent) or "").split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1e9)
