"""Logs: one JSON object a line, with the job's id and key on every line of a job.

Loggers are structlog's; what a line is about comes from context variables, which follow the task through awaits.
Secrets, payloads and what exceptions say of them are taken out of every line, whoever writes it: `telemetry.redaction`.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal, TextIO
from uuid import UUID

import orjson
import structlog

from holdfast.domain.envelope import Envelope
from holdfast.domain.job import Job
from holdfast.domain.trace_context import trace_id
from holdfast.telemetry import redaction

QUIET = {
    "amqp": logging.WARNING,
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "asyncio": logging.WARNING,
    "alembic.runtime.plugins": logging.WARNING,
    "celery.worker.strategy": logging.WARNING,  # "received": the engine says more
    "celery.app.trace": logging.ERROR,  # "rejected": that is how a ticket goes back
}
"""Libraries whose news is not ours below a level."""


_ABOUT: ContextVar[Mapping[str, Any]] = ContextVar("holdfast_about", default=MappingProxyType({}))


class about:  # noqa: N801 - read as a verb: with about(job_id=…)
    """Puts these fields on every line that is written in this context."""

    __slots__ = ("_before", "_fields")

    def __init__(self, **fields: Any) -> None:
        self._fields = fields

    def __enter__(self) -> None:
        self._before = _ABOUT.set({**_ABOUT.get(), **self._fields})

    def __exit__(self, *_: object) -> None:
        _ABOUT.reset(self._before)


def fields(
    job_id: UUID, attempt: int | None, kind: str | None, idempotency_key: str | None, traceparent: str | None
) -> dict[str, Any]:
    """What names a job on a line: `job_id` and, as far as they are known, the rest."""
    known: dict[str, Any] = {"job_id": str(job_id)}
    if attempt is not None:
        known["attempt"] = attempt
    if kind is not None:
        known["kind"] = kind
    if idempotency_key is not None:
        known["idempotency_key"] = idempotency_key
    if traceparent is not None and (trace := trace_id(traceparent)) is not None:
        known["trace_id"] = trace
    return known


def of_job(job: Job) -> dict[str, Any]:
    """The fields of a job."""
    return fields(job.id, job.attempt, job.kind, job.idempotency_key, job.traceparent)


def of_envelope(envelope: Envelope) -> dict[str, Any]:
    """The fields of the job that a message is about."""
    return fields(envelope.job_id, envelope.attempt, envelope.kind, envelope.idempotency_key, envelope.traceparent)


def configure(level: str, form: Literal["auto", "json", "console"], service: str) -> None:
    """Set up structlog and the standard logging module to write one stream to stderr.

    Our own lines do not go through the logging module, which would take as long for one as all of the rest.
    """
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    described = _Described(service)
    end: list[structlog.typing.Processor] = [
        redaction.exception,
        *((redaction.redact, structlog.dev.ConsoleRenderer()) if console else (_rendered,)),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[described], processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *end]
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(max(least, logging.getLogger().level))
    stream = sys.stderr
    structlog.configure(
        processors=[described, *end],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLogger().level),
        logger_factory=lambda name="": _Lines(stream, name),
        cache_logger_on_first_use=True,
    )


class _Lines:
    """Where the rendered lines of one logger go: each in one write, so that no two are mixed."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self.name = stream, name

    def msg(self, line: str) -> None:
        """Write a line. stderr is buffered by the line, so it is out when this returns."""
        self._stream.write(f"{line}\n")

    debug = info = warning = error = critical = msg


class _Described:
    """A structlog processor: adds what the line is about, and who wrote it when."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        record = event.get("_record")  # of the logging module
        return {
            **_ABOUT.get(),
            **event,
            "level": method,
            "logger": record.name if record else logger.name,
            "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "service": self._service,
        }


def _rendered(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
    """A structlog processor: the line as JSON, redacted. Most need no more than a look at what was rendered."""
    line = _json(event)
    return line if redaction.harmless(event, line) else _json(redaction.redact(_logger, _method, event))


def _json(event: structlog.typing.EventDict) -> str:
    """By orjson; what it cannot write (half a surrogate pair, integers past 64 bits) by the standard library."""
    try:
        return orjson.dumps(event, repr).decode()
    except TypeError:
        return json.dumps(event, default=repr)
