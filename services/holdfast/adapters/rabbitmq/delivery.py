"""A message as RabbitMQ delivers it, read from the frames of a connection (AMQP 0-9-1, 2.3.5 and 4.2.6).

Three frames in a row: the method, the header of the content, and its body. Only what a ticket looks like is read here:
JSON in one frame, with headers. Everything else is left to py-amqp, which knows every form there is, and which takes
five times as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from struct import Struct, error
from typing import Any, Final

import orjson

from holdfast.adapters.rabbitmq.wire import BODY, END, HEADER, METHOD

DELIVER = (60, 60)
"""Class and method."""
_frame, _method, _size = Struct(">BHI"), Struct(">HH"), Struct(">I")
_tag, _content = Struct(">QB"), Struct(">HHQH")
_KINDS = b"\x10application/json\x05utf-8"
"""Content type and encoding of what is read."""
_FIRST_THREE, _MORE_FLAGS = 0xE000, 1
"""Content type, encoding and headers are there; and whether another word of flags follows."""
_WIDTHS = dict.fromkeys(b"V", 0) | dict.fromkeys(b"tbB", 1) | dict.fromkeys(b"sUu", 2) | dict.fromkeys(b"Iif", 4)
_WIDTHS |= dict.fromkeys(b"D", 5) | dict.fromkeys(b"lLdT", 8)
"""Bytes of a value, by its type."""
_LONG = frozenset(b"SxAF")
"""Types whose values have their length in front."""
_TEXT: Final = ord("S")


class Not(Enum):
    """Why there is no delivery to read."""

    YET = "some of its frames have not come"
    OURS = "the frame is another, or of another form"


@dataclass(slots=True)
class Delivery:
    """What a ticket needs of kombu's message, by the same names."""

    channel: Any
    delivery_tag: int
    delivery_info: dict[str, Any]
    headers: dict[str, str]
    """Those that are text."""
    payload: Any


def frame_end(buffer: bytes, at: int) -> int:
    """Where the frame ends that begins there; 0 if the rest of it has not come."""
    if len(buffer) - at < _frame.size:
        return 0
    end = at + _frame.size + int(_frame.unpack_from(buffer, at)[2]) + 1
    return end if end <= len(buffer) else 0


def read(buffer: bytes, at: int, channel: Any) -> tuple[Delivery, int] | Not:
    """The delivery on this channel that begins there, and where it ends."""
    number = channel.channel_id
    method = _payload(buffer, at, METHOD, number)
    if isinstance(method, Not):
        return method
    begin, end = method
    if _method.unpack_from(buffer, begin) != DELIVER:
        return Not.OURS
    header = _payload(buffer, end + 1, HEADER, number)
    if isinstance(header, Not):
        return header
    body = _payload(buffer, header[1] + 1, BODY, number)
    if isinstance(body, Not):
        return body
    _, _, size, flags = _content.unpack_from(buffer, header[0])
    kinds = header[0] + _content.size
    table = kinds + len(_KINDS)
    if flags & _FIRST_THREE != _FIRST_THREE or flags & _MORE_FLAGS or buffer[kinds:table] != _KINDS:
        return Not.OURS
    if size != body[1] - body[0]:
        return Not.OURS
    try:
        tag, info = _delivery_info(buffer, begin + _method.size)
        headers = _texts(buffer, table)
        payload = orjson.loads(buffer[body[0] : body[1]])
    except (ValueError, IndexError, error):  # of a type, in an encoding or of a length that is not ours
        return Not.OURS
    return Delivery(channel, tag, info, headers, payload), body[1] + 1


def _payload(buffer: bytes, at: int, kind: int, channel: int) -> tuple[int, int] | Not:
    """Where the payload of a frame of this kind begins and ends."""
    end = frame_end(buffer, at) - 1
    if end < 0:
        return Not.YET
    is_kind, is_channel, _ = _frame.unpack_from(buffer, at)
    if is_kind != kind or is_channel != channel or buffer[end] != END:
        return Not.OURS
    return at + _frame.size, end


def _delivery_info(buffer: bytes, at: int) -> tuple[int, dict[str, Any]]:
    at += 1 + buffer[at]  # the consumer's tag
    tag, redelivered = _tag.unpack_from(buffer, at)
    at += _tag.size
    at += 1 + buffer[at]  # the exchange
    routing_key = buffer[at + 1 : at + 1 + buffer[at]].decode()
    return tag, {"redelivered": bool(redelivered), "routing_key": routing_key}


def _texts(buffer: bytes, at: int) -> dict[str, str]:
    """The text in a table; raise ValueError at a type that is not known."""
    end = at + _size.size + int(_size.unpack_from(buffer, at)[0])
    at += _size.size
    found = dict[str, str]()
    while at < end:
        name_at, at = at + 1, at + 1 + buffer[at]
        kind = buffer[at]
        at += 1
        if kind in _LONG:
            (length,) = _size.unpack_from(buffer, at)
            value_at, at = at + _size.size, at + _size.size + length
            if kind == _TEXT:
                found[buffer[name_at : value_at - _size.size - 1].decode()] = buffer[value_at:at].decode()
        elif kind in _WIDTHS:
            at += _WIDTHS[kind]
        else:
            raise ValueError(f"a value of the type {kind}")
    return found
