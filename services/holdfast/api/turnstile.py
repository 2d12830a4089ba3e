"""Turn a submit away before it is a task: what most of an overload is answered by.

A refusal through the layers takes a third of a millisecond of the processor, so that refusing would become the load.
Here it takes a tenth of that: bytes that were made once, written as soon as the head of the request has been read; its
body is read past.

Invariant: nothing is decided here. Whether there is room says `shedding.Load`, and the answer has what the layers
around `Shedding` add to every answer; a test compares the two (tests/unit/test_turnstile.py). Whatever is not plain
(a page's request, one that waits for `100 Continue`) goes to them. No span is made of what is turned away.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

from holdfast.api import observe, request_id
from holdfast.api.shedding import SUBMITS, Fields, Load, weight_of
from holdfast.telemetry.families import OTHER
from holdfast.telemetry.label_values import StatusClass

TURNSTILE = "holdfast.turnstile"
"""Its name in the state of the lifespan, which the protocol sees."""
NOT_PLAIN = frozenset({b"origin", b"sec-fetch-site", b"expect", b"upgrade"})
_SUBMITS = {path.encode(): path for path in SUBMITS}


class Turnstile:
    """`guarded` adds the headers of every answer to those of one."""

    def __init__(self, load: Load, guarded: Callable[[Fields], Fields]) -> None:
        self._load = load

        @cache
        def rendered(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
            return b"".join(b"%b: %b\r\n" % pair for pair in guarded(headers))

        self._rendered = rendered

    def refusal(self, method: bytes, target: bytes, fields: Fields) -> bytes | None:
        """What to answer behind the status line and the server's own header fields; None for what goes on."""
        path = _SUBMITS.get(target) if method == b"POST" else None
        if path is None or self._load.expects(weight_of(path, fields)):
            return None
        named = dict(fields)
        if not NOT_PLAIN.isdisjoint(named):
            return None
        began = time.perf_counter()
        headers, body = self._load.refusal(path)
        name = request_id.name_of(named.get(request_id.RAW))
        answer = b"%b%b: %b\r\n\r\n%b" % (self._rendered(tuple(headers)), request_id.RAW, name.encode(), body)
        observe.count(OTHER, "POST", StatusClass.SERVER_ERROR, time.perf_counter() - began)
        return answer
