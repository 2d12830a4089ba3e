"""The DevTools client against a peer that says what it likes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import orjson
import pytest

from holdfast.adapters.chromium.devtools import CommandFailed, DevTools, Gone


class Peer:
    """The other end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def hears(self) -> dict[str, object]:
        message: dict[str, object] = orjson.loads((await self.reader.readuntil(b"\0"))[:-1])
        return message

    def says(self, **message: object) -> None:
        self.writer.write(orjson.dumps(message) + b"\0")


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[tuple[DevTools, Peer]]:
    ours, theirs = socket.socketpair()
    devtools = await DevTools.over(ours)
    peer = Peer(*await asyncio.open_connection(sock=theirs))
    yield devtools, peer
    devtools.close()
    peer.writer.close()


async def test_answers_find_their_commands_in_any_order() -> None:
    async with connected() as (devtools, peer):
        first = asyncio.create_task(devtools.send("A.one", x=1))
        second = asyncio.create_task(devtools.send("B.two", "session"))
        heard = [await peer.hears(), await peer.hears()]
        assert [(each["method"], each["params"], each.get("sessionId")) for each in heard] == [
            ("A.one", {"x": 1}, None),
            ("B.two", {}, "session"),
        ]
        for each in reversed(heard):
            peer.says(id=each["id"], result={"of": each["method"]})
        assert (await first, await second) == ({"of": "A.one"}, {"of": "B.two"})


async def test_a_refused_command_says_why() -> None:
    async with connected() as (devtools, peer):
        command = asyncio.create_task(devtools.send("A.one"))
        peer.says(id=(await peer.hears())["id"], error={"code": -32000, "message": "Printing failed"})
        with pytest.raises(CommandFailed, match="Printing failed"):
            await command


async def test_events_reach_the_listener_of_their_session_only() -> None:
    async with connected() as (devtools, peer):
        heard: list[tuple[str, object]] = []
        devtools.listen("mine", lambda method, event: heard.append((method, event)))
        peer.says(method="Page.a", params={"n": 1}, sessionId="mine")
        peer.says(method="Page.b", params={}, sessionId="another")
        peer.says(method="Target.c", params={})
        peer.says(id=99, result={})
        peer.says(method="Page.d", sessionId="mine")
        while len(heard) < 2:
            await asyncio.sleep(0.001)
        assert heard == [("Page.a", {"n": 1}), ("Page.d", {})]


@pytest.mark.parametrize("ending", [b"", b'{"id": 1, "res', b"no json\0"])
async def test_whoever_waits_learns_that_the_peer_is_gone(ending: bytes) -> None:
    async with connected() as (devtools, peer):
        command = asyncio.create_task(devtools.send("A.one"))
        await peer.hears()
        peer.writer.write(ending)
        peer.writer.close()
        with pytest.raises(Gone):
            await command
        with pytest.raises(Gone):
            await devtools.send("A.two")
        with pytest.raises(Gone):
            await devtools.lost


async def test_a_command_that_nobody_waits_for_any_more_is_forgotten() -> None:
    async with connected() as (devtools, peer):
        command = asyncio.create_task(devtools.send("A.one"))
        number = (await peer.hears())["id"]
        command.cancel()
        with pytest.raises(asyncio.CancelledError):
            await command
        peer.says(id=number, result={"late": True})
        after = asyncio.create_task(devtools.send("A.two"))
        peer.says(id=(await peer.hears())["id"], result={"well": True})
        assert await after == {"well": True}
