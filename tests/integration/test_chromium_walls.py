"""No page reaches anything: each wall around Chromium holds alone, and behind all of them is the guarded fetcher.

The observer sees every TCP connection and every datagram to its port of loopback. That it would see something is
shown first, with a Chromium that has no walls.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from chromium_world import NOWHERE, below, hostile, left_of, observed, program
from holdfast.adapters.chromium import flags
from holdfast.adapters.chromium.browser import ChromiumBrowser
from holdfast.adapters.chromium.devtools import DevTools
from holdfast.adapters.egress import AiohttpEgress
from holdfast.adapters.isolation.pool import SubprocessIsolation
from holdfast.domain.attempt import Succeeded
from holdfast.handlers.pdf import PdfRender
from holdfast.handlers.pdf.payload import PdfPayload
from holdfast.ports.handler import Context
from imagepdf_world import Shelf, World

BARE = ["--headless", "--remote-debugging-pipe", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
SUPERVISED = [sys.executable, "-P", "-m", "holdfast.adapters.chromium.supervisor"]


@contextlib.asynccontextmanager
async def chromium(arguments: Sequence[str], folder: Path, *, supervised: bool) -> AsyncIterator[tuple[DevTools, int]]:
    """A Chromium with these arguments, nothing intercepted; its own network namespace only when supervised."""
    ours, theirs = socket.socketpair()
    number = str(theirs.fileno())
    argv = [program(), *arguments, f"--user-data-dir={folder}"]
    if supervised:
        command = [*SUPERVISED, number, str(os.getpid()), str(1 << 30), str(folder), *argv]
    else:
        command = ["bash", "-c", f'exec "$@" 3<&{number} 4>&{number}', "bash", *argv, "--no-sandbox"]
    process = subprocess.Popen(  # noqa: ASYNC220
        command, pass_fds=(theirs.fileno(),), stderr=subprocess.DEVNULL, start_new_session=True
    )
    theirs.close()
    devtools = await DevTools.over(ours)
    try:
        await devtools.send("Browser.getVersion")
        yield devtools, process.pid
    finally:
        processes = below(process.pid)
        devtools.close()
        for each in processes[1 if supervised else 0 :]:
            with contextlib.suppress(Exception):
                each.send_signal(signal.SIGKILL)
        process.wait()
        if supervised:
            assert left_of(processes) == []


async def visit(devtools: DevTools, html: str) -> None:
    """Show a page as if it came from the web, let everything else pass, and wait until it has tried everything."""
    context = (await devtools.send("Target.createBrowserContext"))["browserContextId"]
    target = (await devtools.send("Target.createTarget", url="about:blank", browserContextId=context))["targetId"]
    session = (await devtools.send("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
    answers = set()

    def serve(method: str, event: Any) -> None:
        if method == "Fetch.requestPaused":
            headers = [{"name": "content-type", "value": "text/html"}]
            body = base64.b64encode(html.encode()).decode()
            answer = devtools.send(
                "Fetch.fulfillRequest",
                session,
                requestId=event["requestId"],
                responseCode=200,
                responseHeaders=headers,
                body=body,
            )
            answers.add(asyncio.ensure_future(answer))

    devtools.listen(session, serve)
    await devtools.send("Fetch.enable", session, patterns=[{"urlPattern": f"{NOWHERE}*"}])
    await devtools.send("Page.navigate", session, url=NOWHERE)
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(Exception):
                found = await devtools.send("Runtime.evaluate", session, expression="window.holdfastReady === true")
                if found["result"].get("value") is True:
                    return
            await asyncio.sleep(0.1)


async def test_without_walls_the_observer_sees_the_hostile_page_dial(tmp_path: Path) -> None:
    async with observed() as observer, chromium(BARE, tmp_path, supervised=False) as (devtools, _):
        await visit(devtools, hostile(observer.host))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(30):  # speculations come when Chromium likes, and the page does not hear of them
                while not every_way(observer.seen):
                    await asyncio.sleep(0.05)
        assert every_way(observer.seen), observer.seen


def every_way(seen: list[str]) -> bool:
    if seen.count("tcp dialled") <= 6:  # the rest is dialled, and then given up for want of a permission
        return False
    return all(way in " ".join(seen) for way in ("/speculated", "/prerendered", "/open", "udp "))


async def test_the_flags_alone_keep_every_connection_in(tmp_path: Path) -> None:
    arguments = flags.command("", tmp_path)[1:-1]
    async with observed() as observer, chromium(arguments, tmp_path, supervised=False) as (devtools, _):
        await visit(devtools, hostile(observer.host))
        assert observer.seen == []


async def test_the_network_namespace_alone_keeps_every_connection_in(tmp_path: Path) -> None:
    async with observed() as observer, chromium(BARE, tmp_path, supervised=True) as (devtools, pid):
        if os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net"):  # noqa: PTH115
            pytest.skip("this kernel lets nobody here make a network namespace")
        await visit(devtools, hostile(observer.host))
        assert observer.seen == []


@contextlib.asynccontextmanager
async def context(*allow: str) -> AsyncIterator[tuple[Context, Shelf]]:
    """What a worker gives its handlers, with the real guard and the real browser."""
    isolation, egress, browser = SubprocessIsolation(), AiohttpEgress(allow=allow), ChromiumBrowser(program())
    world = World(isolation)
    made = world.context()
    made.egress, made.browser = egress, browser
    try:
        yield made, world.artifacts
    finally:
        for closing in (browser, egress, isolation):
            await closing.close()


async def rendered(made: Context, **payload: Any) -> Any:
    outcome = await PdfRender().run(made, PdfPayload.model_validate({"engine": "chromium"} | payload))
    assert isinstance(outcome, Succeeded), outcome
    return outcome.result


async def test_a_hostile_page_gets_its_pdf_and_reaches_nobody() -> None:
    async with observed() as observer, context() as (made, _):
        result = await rendered(made, html=hostile(observer.host), javascript=True, wait_for="ready", time_limit=50)
        assert observer.seen == []
    refused = "\n".join(result["warnings"])
    for way in ("/image", "/css", "/fetch", "[::1]", "/xhr", "/font"):
        assert way in refused
    assert "127.0.0.1 is a loopback address" in refused


@pytest.mark.parametrize("tag", ["<meta http-equiv=refresh content='0;url={}'>", "<script>location = '{}'</script>"])
async def test_a_document_may_not_lead_elsewhere(tag: str) -> None:
    async with observed() as observer, context("127.0.0.0/8") as (made, _):
        html = tag.format(f"http://{observer.host}/elsewhere") + "<p>here"
        result = await rendered(made, html=html, javascript=True, wait_for="network-idle")
        assert observer.seen == []
    assert result["pages"] == 1


async def test_assets_come_through_the_guard_and_its_redirects_too() -> None:
    answers = {
        "/ok.svg": b"HTTP/1.1 200 OK\r\nContent-Type: image/svg+xml\r\nContent-Length: 61\r\n\r\n"
        b'<svg xmlns="http://www.w3.org/2000/svg"><text>x</text></svg> ',
        "/away": b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/\r\nContent-Length: 0\r\n\r\n",
    }
    asked = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
        asked.append(path)
        writer.write(answers.get(path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, context("127.0.0.0/8") as (made, _):
        result = await rendered(made, html="<img src=ok.svg><img src=away><img src=gone>", base_url=base)
    assert sorted(asked) == ["/away", "/gone", "/ok.svg"]
    assert len(result["warnings"]) == 2
    assert "169.254.169.254" in "".join(result["warnings"])
