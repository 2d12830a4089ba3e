"""What tests of the real Chromium share: the program, an observer of every dial, pages, and looks at processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import psutil
import pytest

from holdfast.ports.browser import WaitFor, WebPage

NOWHERE = "http://document.invalid/"


def program() -> str:
    """The path of Chromium; a test without it skips on a laptop and fails in CI."""
    found = os.environ.get("HOLDFAST_CHROMIUM", "")
    if not found:
        advice = "HOLDFAST_CHROMIUM is not set: run `make chromium`, and load .holdfast/env"
        if "CI" in os.environ:
            pytest.fail(advice)
        pytest.skip(advice)
    return found


def page(html: str, **changes: object) -> WebPage:
    """A page without options."""
    plain: dict[str, object] = {
        "url": NOWHERE,
        "body": html.encode(),
        "media_type": "text/html; charset=utf-8",
        "javascript": False,
        "wait_for": WaitFor.LOAD,
        "selector": "",
        "style": "",
        "background": True,
        "header": "",
        "footer": "",
    }
    return WebPage(**plain | changes)  # type: ignore[arg-type]


@dataclass
class Observer:
    """Listens on one port number of 127.0.0.1 and ::1, by TCP and UDP, and notes whoever comes."""

    port: int = 0
    seen: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"


class _Connection(asyncio.Protocol):
    def __init__(self, seen: list[str]) -> None:
        self._seen = seen

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._seen.append("tcp dialled")

    def data_received(self, data: bytes) -> None:
        self._seen.append(f"tcp {data[:60]!r}")
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        self._transport.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, seen: list[str]) -> None:
        self._seen = seen

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._seen.append(f"udp {data[:20]!r}")


@contextlib.asynccontextmanager
async def observed() -> AsyncIterator[Observer]:
    """An observer of every dial to its port."""
    observer, loop = Observer(), asyncio.get_running_loop()

    def connection() -> _Connection:
        return _Connection(observer.seen)

    four = await loop.create_server(connection, "127.0.0.1", 0)
    observer.port = four.sockets[0].getsockname()[1]
    datagrams, _ = await loop.create_datagram_endpoint(
        lambda: _Datagrams(observer.seen), local_addr=("127.0.0.1", observer.port)
    )
    closing: list[asyncio.Server | asyncio.DatagramTransport] = [four, datagrams]
    if socket.has_ipv6:
        with contextlib.suppress(OSError):  # no IPv6 on this machine
            closing.append(await loop.create_server(connection, "::1", observer.port))
    try:
        yield observer
    finally:
        for each in closing:
            each.close()


def hostile(host: str) -> str:
    """A page that tries every way to `host` that a browser has, and says when it has tried them all."""
    return _HOSTILE.replace("HOST", host).replace("PORT", host.rpartition(":")[2])


_HOSTILE = """<!doctype html>
<link rel=preconnect href="http://HOST"><link rel=dns-prefetch href="//x.example">
<link rel=prefetch href="http://HOST/prefetch"><link rel=modulepreload href="http://HOST/module">
<link rel=stylesheet href="http://HOST/css"><link rel=icon href="http://HOST/icon">
<link rel=manifest href="http://HOST/manifest"><script src="http://HOST/script"></script>
<script type=speculationrules>
{"prefetch": [{"urls": ["http://HOST/speculated"]}], "prerender": [{"urls": ["http://HOST/prerendered"]}]}
</script>
<img src="http://HOST/image"><img src="http://[::1]:PORT/six"><img src="http://localhost:PORT/name">
<img src="http://0x7f.1:PORT/hex"><img src="ftp://HOST/ftp"><iframe src="http://HOST/frame"></iframe>
<iframe sandbox src="http://HOST/sandboxed"></iframe><iframe src="file:///etc/passwd"></iframe>
<iframe src="chrome://version"></iframe><iframe src="view-source:http://HOST/source"></iframe>
<iframe srcdoc="<img src='http://HOST/inner'>"></iframe><iframe name=inside></iframe>
<object data="http://HOST/object"></object><embed src="http://HOST/embed">
<video src="http://HOST/video" autoplay></video>
<svg><image href="http://HOST/svg"/></svg><div style="background: url(http://HOST/background)">x</div>
<form id=f action="http://HOST/form" method=post target=inside><input name=a value=b></form>
<script>
const tried = [];
function attempt(action) { try { tried.push(Promise.resolve(action())); } catch (e) {} }
function link(attributes) { document.body.append(Object.assign(document.createElement('a'), attributes)); }
function blob(script) { return URL.createObjectURL(new Blob([script])); }
attempt(() => fetch('http://HOST/fetch', {mode: 'no-cors'}));
attempt(() => fetch('http://HOST/post', {mode: 'no-cors', method: 'POST', body: 'x', keepalive: true}));
attempt(() => fetch('file:///etc/passwd'));
attempt(() => { const x = new XMLHttpRequest(); x.open('GET', 'http://HOST/xhr', false); x.send(); });
attempt(() => navigator.sendBeacon('http://HOST/beacon', 'x'));
attempt(() => new Promise(done => { const s = new WebSocket('ws://HOST/socket'); s.onopen = s.onerror = done; }));
attempt(() => { new EventSource('http://HOST/events'); });
attempt(() => {
  new Worker(blob("fetch('http://HOST/worker', {mode: 'no-cors'}); new WebSocket('ws://HOST/threaded')"));
});
attempt(() => { new SharedWorker(blob("fetch('http://HOST/shared', {mode: 'no-cors'})")); });
attempt(() => navigator.serviceWorker.register('/service.js'));
attempt(() => new WebTransport('https://HOST/transport').ready);
attempt(async () => {
  const turn = {urls: 'turn:HOST?transport=tcp', username: 'a', credential: 'b'};
  const peer = new RTCPeerConnection({iceServers: [{urls: 'stun:HOST'}, turn]});
  peer.createDataChannel('x'); await peer.setLocalDescription(await peer.createOffer());
});
attempt(() => { window.open('http://HOST/open'); });
attempt(() => { document.getElementById('f').submit(); });
attempt(() => {
  link({href: 'http://HOST/download', download: 'x', target: 'inside'}); document.body.lastChild.click();
});
attempt(() => { link({href: '#here', ping: 'http://HOST/ping'}); document.body.lastChild.click(); });
attempt(() => new FontFace('x', 'url(http://HOST/font)').load());
attempt(() => CSS.paintWorklet && CSS.paintWorklet.addModule('http://HOST/worklet'));
const patience = new Promise(done => setTimeout(done, 5000));
Promise.race([Promise.allSettled(tried), patience]).then(() => setTimeout(() => { window.holdfastReady = true; }, 500));
</script>the end of the page"""


def below(pid: int) -> list[psutil.Process]:
    """A process and all its descendants."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def left_of(processes: list[psutil.Process]) -> list[str]:
    """Those that are still there, zombies too."""
    left = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running():
                left.append(f"{process.pid} {process.name()} {process.status()}")
    return left
