"""Logs: one JSON object a line, with the job's id and key on every line of a job.

Loggers are structlog's; what a line is about comes from context variables, which follow the task through awaits.
Secrets, payloads and what exceptions say of them are taken out of every line, whoever writes it: `telemetry.redaction`.
"""

from __future__ import annotations

import json
import logging
import sys
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


def fields(
    job_id: UUID, attempt: int | None, kind: str | None, idempotency_key: str | None, traceparent: str | None
) -> dict[str, Any]:
    """What names a job on a line: `job_id` and, as far as they are known, the rest."""
    known = {
        "job_id": str(job_id),
        "attempt": attempt,
        "kind": kind,
        "idempotency_key": idempotency_key,
        "trace_id": trace_id(traceparent),
    }
    return {name: value for name, value in known.items() if value is not None}


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
    begin: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    end: list[structlog.typing.Processor] = [
        _Service(service),
        redaction.exception,
        redaction.redact,
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer(_json),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=begin, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *end]
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(max(least, logging.getLogger().level))
    stream = sys.stderr
    structlog.configure(
        processors=[*begin, *end],
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


def _json(event: Any, **options: Any) -> str:
    """By orjson; what it cannot write (half a surrogate pair, integers past 64 bits) by the standard library."""
    try:
        return orjson.dumps(event, options["default"]).decode()
    except TypeError:
        return json.dumps(event, **options)


class _Service:
    """Adds the name of the service to every line."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, _logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["service"] = self._name
        return event
