"""One open connection, driven by the event loop: nothing here waits for the network.

py-amqp opens it, in a thread, and reads and writes whatever is rare: returns, alarms, heartbeats, the farewell. What
comes by the thousand are frames of two forms, a publication and its confirm; those are written and read here, as AMQP
0-9-1 has them (2.3.5, 4.2.3 to 4.2.6), because a library that is ready for every form takes five times as long.

    what happens                            what follows
    the socket takes no more                the rest waits, and goes on when it does
    half a frame has come                   it waits for the other half
    the connection breaks, or RabbitMQ
    closes it or the channel                `lost` has the error; whoever owns the wire makes another
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from struct import Struct

import amqp

from holdfast.adapters.rabbitmq.message import Content
from holdfast.domain.topology import Route

METHOD, HEADER, BODY, END = 1, 2, 3, 0xCE
"""Types of frames, and the octet at the end of each."""
PUBLISH, ACK, NACK = (60, 40), (60, 80), (60, 120)
"""Class and method."""
MANDATORY = 1
CHUNK = 256 * 1024
"""Bytes that are read at a time."""
_frame, _method, _confirm = Struct(">BHI"), Struct(">HH"), Struct(">QB")
_CONTENT = b"%b%b%b\xce%b%b\xce"
"""A method's frame, and those of a content header and of a body."""
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

Confirmed = Callable[[int, bool, bool], None]
"""Told the delivery tag, whether all up to it are meant, and whether it is an ack (or a nack)."""


class Wire:
    """Publishes on a channel in confirm mode. Belongs to the event loop in which it is made."""

    def __init__(self, connection: amqp.Connection, channel: amqp.Channel, confirmed: Confirmed) -> None:
        self._connection, self._channel, self._confirmed = connection, int(channel.channel_id), confirmed
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self._socket, self._transport = connection.sock, connection.transport
        self._number = self._socket.fileno()  # py-amqp closes the socket by itself when RabbitMQ says goodbye
        self._out, self._in, self._at, self._stuck = bytearray(), bytearray(), 0, False
        self._methods: dict[Route, bytes] = {}
        self._write_blocking = self._transport._write
        self._transport._write, self._transport._read = self._out.extend, self._take
        self._socket.setblocking(False)
        self._loop.add_reader(self._number, self._readable)
        self._loop.call_soon(self._readable)  # what TLS has decrypted already makes no socket readable

    def publish(self, route: Route, content: Content) -> None:
        """Put a persistent, mandatory message behind those that wait to be written."""
        method = self._methods.get(route) or self._method(route)
        header, body, channel = content.header, content.body, self._channel
        self._out += _CONTENT % (
            method,
            _frame.pack(HEADER, channel, len(header)),
            header,
            _frame.pack(BODY, channel, len(body)),
            body,
        )

    def flush(self) -> None:
        """Write what waits, as far as the socket takes it."""
        if self._stuck or not self._out or self.lost.done():
            return
        self._connection.bytes_sent += 1  # py-amqp counts what happens to know that the connection lives
        try:
            while self._out:
                del self._out[: self._socket.send(self._out)]
        except _NOT_NOW:
            self._stuck = True
            self._loop.add_writer(self._number, self._writable)
        except OSError as error:
            self._lose(error)

    def beat(self) -> None:
        """Send a heartbeat if one is due; a connection from which none has come for long is lost."""
        try:
            self._connection.heartbeat_tick()
        except (OSError, amqp.AMQPError) as error:
            self._lose(error)
        self.flush()

    def close(self, farewell: float | None = None) -> None:
        """Close the connection; with a farewell take leave of RabbitMQ first, which may take so many seconds."""
        if not self.lost.cancel():
            self._connection.collect()
            return
        self._stop_looking()
        if farewell is not None:
            with contextlib.suppress(Exception):  # it is over either way
                self._socket.settimeout(farewell)
                self._transport._write, self._transport._read_buffer = self._write_blocking, bytes(self._in[self._at :])
                del self._transport._read
                self._transport.write(bytes(self._out))
                self._connection.close()
        self._connection.collect()

    def _method(self, route: Route) -> bytes:
        """The frame that says where a message goes; there are few of them."""
        names = b"".join(bytes((len(name),)) + name for name in (route.exchange.encode(), route.routing_key.encode()))
        payload = _method.pack(*PUBLISH) + b"\x00\x00" + names + bytes((MANDATORY,))
        return self._methods.setdefault(route, self._framed(METHOD, payload))

    def _framed(self, kind: int, payload: bytes) -> bytes:
        return b"%b%b\xce" % (_frame.pack(kind, self._channel, len(payload)), payload)

    def _writable(self) -> None:
        self._loop.remove_writer(self._number)
        self._stuck = False
        self.flush()

    def _readable(self) -> None:
        if self.lost.done():
            return
        self._connection.bytes_recv += 1
        try:
            while True:
                data = self._socket.recv(CHUNK)
                if not data:
                    raise ConnectionResetError("RabbitMQ has closed the connection")
                self._in += data
        except _NOT_NOW:
            pass
        except OSError as error:
            self._lose(error)
            return
        try:
            self._parse()
        except Exception as error:  # RabbitMQ closes the connection or the channel: py-amqp raises what it says
            self._lose(error)
        self.flush()  # py-amqp may have answered

    def _parse(self) -> None:
        while self._whole():
            kind, _, size = _frame.unpack_from(self._in, self._at)
            payload = self._at + _frame.size
            method = _method.unpack_from(self._in, payload) if kind == METHOD else None
            if method in {ACK, NACK}:
                tag, bits = _confirm.unpack_from(self._in, payload + _method.size)
                self._at = payload + size + 1
                self._confirmed(tag, bool(bits & 1), method == ACK)
            else:
                self._connection.blocking_read(0)
        del self._in[: self._at]
        self._at = 0

    def _whole(self) -> bool:
        """Whether all of the next frame has come."""
        there = len(self._in) - self._at
        return there > _frame.size and there > _frame.size + int(_frame.unpack_from(self._in, self._at)[2])

    def _take(self, size: int, initial: bool = False) -> bytes:
        """What py-amqp reads: so many bytes of a frame that has come."""
        if initial and not self._whole():
            raise TimeoutError
        data = bytes(self._in[self._at : self._at + size])
        self._at += size
        return data

    def _lose(self, error: Exception) -> None:
        if not self.lost.done():
            self.lost.set_exception(error)
            self.lost.exception()  # seen, also when nobody looks any more
            self._stop_looking()

    def _stop_looking(self) -> None:
        self._loop.remove_reader(self._number)
        self._loop.remove_writer(self._number)
