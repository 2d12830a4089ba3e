"""The Celery task message that carries a ticket: made from what Celery's own code builds, so that Celery and Flower
read it.

The body holds the job id and the attempt, nothing else. The payload stays in the ledger: nothing private lies in
the broker, and a replay can never run a stale body.

Celery builds one message, and py-amqp writes it, when a process publishes for the first time. In the others only what
differs is put in: the job's id and the attempt, our own headers, priority and time. A test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from struct import Struct
from typing import Any, NamedTuple
from uuid import UUID

from amqp.serialization import dumps as write
from celery import Celery
from kombu.serialization import dumps

from holdfast.domain.envelope import Envelope

TASK = "holdfast.execute"
"""The one Celery task: run the attempt that the ticket names."""

_celery = Celery("holdfast", set_as_current=False)
_PERSISTENT = 2
_PROPERTIES = 0xFCC0
"""Which properties follow: content type and encoding, headers, delivery mode, priority, correlation id, message id and
timestamp, in this order (AMQP 0-9-1, 4.2.6.1)."""
_NOBODY = str(UUID(int=0))
_OURS = ("id", "root_id", "argsrepr")
"""Headers of Celery that name the job."""
_content, _length, _text, _integer, _time = Struct(">HHQH"), Struct(">I"), Struct(">cI"), Struct(">ci"), Struct(">Q")


_HEADER = b"%b" * 8
_OWN_HEADERS = (
    b"\x02id%b\x07root_id%b\x08argsrepr%b\x0dholdfast-kind%b\x10holdfast-attempt%b"
    b"\x0fidempotency-key%b\x0benqueued-at%b"
)
"""Each after the length of its name."""


@dataclass(frozen=True, slots=True)
class Content:
    """The payloads of a message's content header and of its body."""

    header: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class _Template:
    """What all messages have in common."""

    kinds: bytes
    """Content type and encoding."""
    headers: bytes
    before_id: bytes
    """Of the body."""
    after_attempt: bytes


class _Times(NamedTuple):
    header: bytes
    stamp: bytes


def message_id(envelope: Envelope) -> str:
    """Names one publication; a returned message is recognised by it."""
    return f"{envelope.job_id}.{envelope.token}"


def encode(envelope: Envelope) -> Content:
    """The message for an envelope: protocol 2 of Celery, JSON, persistent, with an explicit priority."""
    template, job_id = _template(), str(envelope.job_id).encode()
    headers = template.headers + _own_headers(envelope, job_id)
    body = b'%b%b", %d%b' % (template.before_id, job_id, envelope.attempt, template.after_attempt)
    header = _HEADER % (
        _content.pack(60, 0, len(body), _PROPERTIES),
        template.kinds,
        _length.pack(len(headers)),
        headers,
        bytes((_PERSISTENT, envelope.priority)),
        _short(job_id),
        _short(b"%b.%d" % (job_id, envelope.token)),
        _times(envelope.enqueued_at).stamp,
    )
    return Content(header, body)


def _own_headers(envelope: Envelope, job_id: bytes) -> bytes:
    named = _long(job_id)
    headers = _OWN_HEADERS % (
        named,
        named,
        _long(b"(%d)" % envelope.attempt),
        _long(envelope.kind.encode()),
        _integer.pack(b"I", envelope.attempt),
        _long(envelope.idempotency_key.encode()),
        _times(envelope.enqueued_at).header,
    )
    return headers + b"\x0btraceparent" + _long(envelope.traceparent.encode()) if envelope.traceparent else headers


@lru_cache(64)
def _times(enqueued_at: datetime) -> _Times:
    """Many messages have one."""
    return _Times(_long(enqueued_at.isoformat().encode()), _time.pack(int(enqueued_at.timestamp())))


@cache
def _template() -> _Template:
    headers, _, body = celery_message(_NOBODY, 0)
    common = {name: value for name, value in headers.items() if name not in _OURS}
    content_type, content_encoding, data = dumps(body, serializer="json")  # type: ignore[no-untyped-call]
    before, _, after = data.encode().partition(f'{_NOBODY}", 0'.encode())
    kinds = _short(content_type.encode()) + _short(content_encoding.encode())
    return _Template(kinds, write("F", [common])[_length.size :], before, after)


def celery_message(job_id: str, attempt: int) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Headers, properties and body as Celery itself makes them."""
    made = _celery.amqp.as_task_v2(
        job_id, TASK, args=(job_id, attempt), kwargs={}, argsrepr=f"({attempt})", kwargsrepr="{}"
    )
    return made.headers, made.properties, made.body


def _short(text: bytes) -> bytes:
    return bytes((len(text),)) + text


def _long(text: bytes) -> bytes:
    """A value of a table: a text."""
    return _text.pack(b"S", len(text)) + text
