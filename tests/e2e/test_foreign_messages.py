"""Messages that are none of ours still end in the dead letters, with everything they carried."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import amqp
import httpx
import pytest

from harness import Platform, eventually
from holdfast.adapters.rabbitmq.connection import connect
from holdfast.domain.topology import JOBS


@pytest.fixture
def channel(platform: Platform) -> Iterator[amqp.Channel]:
    connection = connect(platform.settings.rabbitmq_url.get_secret_value(), name="test")
    yield connection.channel()
    connection.close()


TASK = {"task": "holdfast.execute", "id": "1", "lang": "py"}
FOREIGN: dict[str, tuple[bytes, dict[str, Any], dict[str, Any]]] = {
    "plain text": (b"hello", {}, {"content_type": "text/plain"}),
    "bytes that are no text": (b"\xff\xfe\x00", {}, {"content_type": "application/json", "content_encoding": "utf-8"}),
    "a pickle": (b"\x80\x04N.", {}, {"content_type": "application/x-python-serialize"}),
    "JSON that is no task": (b"{}", {}, {"content_type": "application/json", "content_encoding": "utf-8"}),
    "an unknown task": (b"[[], {}, {}]", TASK | {"task": "other.task"}, {"content_type": "application/json"}),
    "our task with wrong arguments": (b"[[1], {}, {}]", TASK, {"content_type": "application/json"}),
    "our task with a broken body": (b"[[", TASK, {"content_type": "application/json", "content_encoding": "utf-8"}),
    "a ticket of an unknown job": (
        json.dumps([[str(uuid4()), 1], {}, {}]).encode(),
        TASK,
        {"content_type": "application/json", "content_encoding": "utf-8"},
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_message_is_filed_with_its_headers_and_body(
    api: httpx.Client, channel: amqp.Channel, name: str
) -> None:
    body, headers, properties = FOREIGN[name]
    mark = str(uuid4())
    message = amqp.Message(body, application_headers=headers | {"mark": mark}, delivery_mode=2, **properties)
    channel.basic_publish(message, JOBS, "custom")

    def look() -> list[dict[str, Any]]:
        letters = api.get("/v1/dead-letters", params={"reason": "unparseable", "limit": 200}).json()["dead_letters"]
        return [letter for letter in letters if letter["headers"].get("mark") == mark]

    (letter,) = eventually(look)
    assert letter["body"] == body.decode("utf-8", "replace")
    assert letter["headers"]["x-first-death-reason"] == "rejected"
    assert api.post(f"/v1/dead-letters/{letter['id']}/replay", json={}).status_code == 409
