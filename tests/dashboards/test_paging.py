"""Dead letters page somebody for real, and the page ends when they are replayed."""

from __future__ import annotations

import re

import httpx
import pytest
from receiver import Receiver

from harness import Platform, eventually
from monitoring import Monitoring

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ALERT = "DeadLettersGrowing"


@pytest.mark.timeout(400)
def test_dead_letters_that_grow_page_and_a_replay_resolves(watched: tuple[Platform, Monitoring]) -> None:
    platform, monitoring = watched
    with Receiver(SECRET) as receiver, platform.client() as api:
        eventually(lambda: monitoring.value("sum(holdfast_steward_leading)"), lambda leading: leading == 1, within=60)
        receiver.fail_next(15, status=410)
        for number in range(15):
            payload = {"url": receiver.url, "body": {"n": number}, "secret": receiver.secret}
            api.post("/v1/jobs", json={"kind": "webhook.dispatch", "payload": payload}).raise_for_status()
        [firing] = eventually(lambda: monitoring.pager.told(ALERT), lambda told: len(told) == 1, within=90)
        assert firing["status"] == "firing"
        assert firing["labels"]["severity"] == "page"
        assert firing["annotations"]["runbook_url"].endswith(f"/runbooks/{ALERT}.md")
        assert re.match(r"About \d+ jobs died", firing["annotations"]["summary"])
        assert _replay_all(api) == 15
        eventually(lambda: len(receiver.received), lambda delivered: delivered == 15, within=60)
        last = eventually(
            lambda: monitoring.pager.told(ALERT)[-1], lambda told: told["status"] == "resolved", within=60
        )
    assert last["labels"]["alertname"] == ALERT


def _replay_all(api: httpx.Client) -> int:
    answer = api.post("/v1/dead-letters/replay", json={"filter": {"error": "ReceiverGone"}}).raise_for_status().json()
    return int(answer["replayed"])
