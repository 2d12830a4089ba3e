"""Webhooks of one ordering key through the whole platform: in order, whatever the receiver does meanwhile."""

from __future__ import annotations

from uuid import uuid4

import httpx
from receiver import Receiver

from harness import JobCall, eventually


def payload(receiver: Receiver, key: str, number: int) -> dict[str, object]:
    return {
        "url": receiver.url,
        "secret": receiver.secret,
        "event_type": "order.changed",
        "ordering_key": key,
        "body": {"key": key, "number": number},
    }


def arrived(receiver: Receiver, key: str) -> list[int]:
    return [it.json["data"]["number"] for it in receiver.received if it.json["data"]["key"] == key]


def test_webhooks_of_one_key_arrive_in_order_although_some_fail_at_first(
    api: httpx.Client, receiver: Receiver, wait: JobCall
) -> None:
    keys = [f"{uuid4()}-{number}" for number in range(3)]
    receiver.fail_next(3)
    jobs = [{"kind": "webhook.dispatch", "payload": payload(receiver, key, n)} for n in range(6) for key in keys]
    outcomes = api.post("/v1/jobs/batch", json={"jobs": jobs}).json()["outcomes"]
    assert {outcome["status"] for outcome in outcomes} == {202}
    ended = [wait(outcome["job"], within=90) for outcome in outcomes]
    assert {job["state"] for job in ended} == {"succeeded"}
    assert [arrived(receiver, key) for key in keys] == [list(range(6))] * 3
    assert set(receiver.deliveries.values()) == {1}


def test_those_behind_wait_without_a_message_and_a_cancelled_one_lets_them_on(
    api: httpx.Client, submit: JobCall, receiver: Receiver, wait: JobCall
) -> None:
    key = str(uuid4())
    first = submit("webhook.dispatch", payload(receiver, key, 0), delay=3600)
    second = submit("webhook.dispatch", payload(receiver, key, 1))
    assert (second["state"], second["ordering_key"]) == ("blocked", key)
    assert api.get("/v1/jobs", params={"state": "blocked"}).json()["jobs"][0]["id"] == second["id"]
    api.post(f"/v1/jobs/{first['id']}/cancel").raise_for_status()
    assert wait(second)["state"] == "succeeded"
    eventually(lambda: arrived(receiver, key), lambda numbers: numbers == [1])
