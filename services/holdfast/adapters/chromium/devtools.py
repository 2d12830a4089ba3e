"""The DevTools protocol over a socket that only Chromium holds the other end of (`--remote-debugging-pipe`).

Messages are JSON, each ended by a zero byte. A command's answer carries its number; events carry the session of
the page that they are about. (https://chromedevtools.github.io/devtools-protocol/)
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Callable, Mapping
from typing import Any, Never

import orjson

LONGEST = 128 * 1024 * 1024
"""Bytes of the longest message that is read."""

Listener = Callable[[str, Mapping[str, Any]], None]


class Gone(Exception):
    """Chromium has hung up, or sent what is no message."""


class CommandFailed(Exception):
    """Chromium refused a command."""


class DevTools:
    """One connection. Belongs to the event loop that it was opened on."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._listeners: dict[str, Listener] = {}
        self.lost: asyncio.Future[Never] = asyncio.get_running_loop().create_future()
        """Gets Gone when Chromium hangs up."""
        self._reading = asyncio.create_task(self._read(reader))

    @classmethod
    async def over(cls, channel: socket.socket) -> DevTools:
        """Talk over this end of the socket, and own it."""
        return cls(*await asyncio.open_connection(sock=channel, limit=LONGEST))

    async def send(self, method: str, session: str | None = None, /, **parameters: Any) -> Mapping[str, Any]:
        """One command and its answer. Raises CommandFailed and Gone."""
        if self.lost.done():
            await self.lost
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._writer.write(orjson.dumps(message) + b"\0")
            await self._writer.drain()
            found: Mapping[str, Any] = await answer
        except ConnectionError as error:
            raise Gone(str(error)) from None
        finally:
            self._waiting.pop(number, None)
        return found

    def listen(self, session: str, listener: Listener) -> None:
        """Hand the events of a session to `listener`, in their order; nothing may be awaited there."""
        self._listeners[session] = listener

    def forget(self, session: str) -> None:
        """Stop listening."""
        self._listeners.pop(session, None)

    def close(self) -> None:
        """Hang up; Chromium ends itself then."""
        self._reading.cancel()
        self._writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                self._take(orjson.loads((await reader.readuntil(b"\0"))[:-1]))
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError) as error:
            self._lose(Gone(f"Chromium hung up ({type(error).__name__})"))

    def _take(self, message: Any) -> None:
        match message:
            case {"id": int(number), "error": {"message": str(reason)}}:
                self._settle(number, CommandFailed(reason[:500]))
            case {"id": int(number), "result": dict(result)}:
                self._settle(number, result)
            case {"method": str(method), "sessionId": str(session)} if session in self._listeners:
                self._listeners[session](method, message.get("params", {}))
            case _:  # an event that nobody listens for
                pass

    def _settle(self, number: int, answer: Mapping[str, Any] | Exception) -> None:
        waiting = self._waiting.get(number)
        if waiting is None or waiting.done():  # nobody waits any more
            return
        if isinstance(answer, Exception):
            waiting.set_exception(answer)
        else:
            waiting.set_result(answer)

    def _lose(self, gone: Gone) -> None:
        self.lost.set_exception(gone)
        self.lost.exception()  # nobody has to be waiting for it
        for number in list(self._waiting):
            self._settle(number, gone)
