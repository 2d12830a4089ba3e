"""The platform at a glance, over HTTP and over a WebSocket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from harness import JobCall, Platform, eventually
from holdfast.api.stats_schemas import StatsOut


@contextmanager
def live(platform: Platform, first: Any = None) -> Iterator[ClientConnection]:
    with connect(f"ws://127.0.0.1:{platform.port}/ws/stats", open_timeout=60) as socket:
        socket.send(json.dumps({} if first is None else first))
        yield socket


def test_stats_are_as_documented_and_count_what_happened(api: httpx.Client, submit: JobCall, wait: JobCall) -> None:
    queued = submit("pdf.render", {"html": "<p>later</p>"}, delay=3600)

    def seen() -> dict[str, Any]:
        """After another job, for what a sight shows was done within the last ten seconds."""
        wait(submit("pdf.render", {"html": "<p>seen</p>"}))
        answer = api.get("/v1/stats")
        assert answer.status_code == 200, answer.text
        StatsOut.model_validate(answer.json())
        found: dict[str, Any] = answer.json()
        return found

    def complete(stats: dict[str, Any]) -> bool:
        """A sight may be a second old, and lies at one moment, so both jobs have to show in the same one."""
        done = [kind for kind in stats["activity"]["kinds"] if kind["kind"] == "pdf.render"]
        return bool(done and done[0]["attempts"]["succeeded"]) and stats["jobs"]["scheduled"] >= 1

    stats = eventually(seen, complete, every=0.5)
    [pdf] = [kind for kind in stats["activity"]["kinds"] if kind["kind"] == "pdf.render"]
    assert pdf["latency_ms"]["p50"] > 0
    assert stats["activity"]["accepted"] >= 1
    assert {queue["name"] for queue in stats["queues"]} == {"image", "pdf", "webhook", "custom"}
    api.post(f"/v1/jobs/{queued['id']}/cancel").raise_for_status()


def test_a_socket_is_sent_the_same_every_second(platform: Platform) -> None:
    with live(platform) as socket:
        first, second = (json.loads(socket.recv(timeout=60)) for _ in range(2))
    StatsOut.model_validate(first)
    assert second["at"] > first["at"]


@pytest.mark.parametrize("first", ["hello", [], {"authorization": 7}])
def test_a_socket_whose_first_message_is_something_else_is_closed(platform: Platform, first: Any) -> None:
    with live(platform, first) as socket, pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=60)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4400


def test_a_socket_with_an_unknown_key_is_closed(platform: Platform) -> None:
    with live(platform, {"authorization": "Bearer hf_wrong"}) as socket, pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=60)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401
