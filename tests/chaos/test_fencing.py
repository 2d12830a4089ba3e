"""A worker that was only slow comes back after another has taken its job over: what it brings is void.

The worker is frozen (SIGSTOP) in the middle of its effect, as by a long pause of its machine. Then either the broker
gives its ticket to somebody else, or its lease runs out and the steward does; the job ends there. Thawed, the worker
holds a token that is no longer the current one.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psutil
from slow_receiver import SlowReceiver

from harness import Member, Platform, eventually
from holdfast.domain.job import ENDED
from holdfast.settings import Settings


def post(platform: Platform, kind: str, payload: dict[str, Any]) -> str:
    response = httpx.post(f"{platform.url}/v1/jobs", json={"kind": kind, "payload": payload}, timeout=60)
    assert response.status_code == 202, response.text
    job_id: str = response.json()["id"]
    return job_id


def job(platform: Platform, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{platform.url}/v1/jobs/{job_id}", timeout=60).json()
    return found


def ended(platform: Platform, job_id: str) -> dict[str, Any]:
    return eventually(lambda: job(platform, job_id), lambda seen: seen["state"] in ENDED)


def attempts(platform: Platform, job_id: str) -> list[dict[str, Any]]:
    answer = httpx.get(f"{platform.url}/v1/jobs/{job_id}/attempts", timeout=60)
    found: list[dict[str, Any]] = answer.json()["attempts"]
    return found


def started(platform: Platform, name: str, **settings: Any) -> Member:
    worker = platform.start(name, command="worker-webhook", **settings)
    platform.wait_ready(name)
    return worker


def close_connections(settings: Settings, worker: Member) -> None:
    """What the broker does by itself after two missed heartbeats, a minute later."""
    ports = {seen.laddr.port for seen in psutil.Process(worker.process.pid).net_connections("tcp") if seen.laddr}
    base = f"{settings.rabbitmq_management_url.get_secret_value()}/api"
    with httpx.Client(base_url=base, timeout=60) as management:

        def of_the_worker() -> list[str]:
            found = management.get("/connections").json()
            return [connection["name"] for connection in found if connection.get("peer_port") in ports]

        for name in eventually(of_the_worker, lambda names: len(names) >= 2):  # the consumer's, and the publisher's
            management.delete(f"/connections/{quote(name, safe='')}", headers={"X-Reason": "missed heartbeats"})


def taken_over(
    platform: Platform, stale: Member, begin: Callable[[], str], finish: Callable[[], None]
) -> tuple[str, dict[str, Any], Member]:
    """Freeze the worker in the middle of a job, let another end it, thaw the first and wait for its defeat."""
    job_id = begin()
    stale.process.send_signal(signal.SIGSTOP)
    try:
        close_connections(platform.settings, stale)
        winner = started(platform, "winner")
        finish()
        before = ended(platform, job_id)
    finally:
        stale.process.send_signal(signal.SIGCONT)
    eventually(lambda: "claim_superseded" in stale.log.read_text())
    return job_id, before, winner


def wrote(member: Member, attempt: dict[str, Any]) -> bool:
    """Whether this attempt is signed by that process."""
    return int(attempt["worker"].rsplit(":", 1)[1]) == member.process.pid


def test_a_frozen_worker_that_comes_back_cannot_settle_what_another_has_settled(
    fragile: Platform, slow: SlowReceiver
) -> None:
    stale = started(fragile, "stale")

    def begin() -> str:
        job_id = post(fragile, "webhook.dispatch", {"url": slow.url, "body": {}})
        eventually(slow.deliveries.total)
        return job_id

    def finish() -> None:
        eventually(lambda: slow.deliveries.total() == 2)
        slow.go.set()

    job_id, before, winner = taken_over(fragile, stale, begin, finish)
    assert job(fragile, job_id) == before | {"links": job(fragile, job_id)["links"]}
    (attempt,) = attempts(fragile, job_id)
    assert (attempt["state"], attempt["deliveries"], wrote(winner, attempt)) == ("succeeded", 2, True)
    assert list(slow.deliveries.values()) == [2], "the one gap in which an effect repeats, under the same webhook-id"


def test_the_artifacts_of_a_stale_claim_do_not_replace_the_winners(fragile: Platform) -> None:
    stale = started(fragile, "stale")

    def begin() -> str:
        job_id = post(fragile, "test.keep", {"seconds": 5.0})
        folder = fragile.settings.artifacts_url.removeprefix("file://")
        eventually(lambda: list(_files(folder, job_id)))
        return job_id

    job_id, before, winner = taken_over(fragile, stale, begin, lambda: None)
    after = job(fragile, job_id)
    assert (after["result"], after["finished_at"]) == (before["result"], before["finished_at"])
    assert after["result"]["pid"] == winner.process.pid
    (file,) = after["links"]["artifacts"]
    assert httpx.get(f"{fragile.url}{file['href']}", timeout=60).text == str(winner.process.pid)
    saved = {file.read_text() for file in _files(fragile.settings.artifacts_url.removeprefix("file://"), job_id)}
    assert saved == {str(stale.process.pid), str(winner.process.pid)}, "each under its own token"


def test_a_worker_whose_lease_ran_out_cannot_settle_either(own_settings: Settings, tmp_path: Path) -> None:
    """Its connection is still open, so it is the steward that gives the attempt to another."""
    platform = Platform(own_settings.model_copy(update={"lease_margin": 0.5, "rescue_after": 0.5}), tmp_path)
    try:
        platform.start("api")
        # One slot: the new ticket must not go to the frozen worker, which the broker still takes for alive.
        stale = started(platform, "stale", worker_concurrency_webhook=1)
        platform.wait_ready("api")
        job_id = post(platform, "test.linger", {"seconds": 2.0})
        eventually(lambda: job(platform, job_id), lambda seen: seen["state"] == "running", every=0.01)
        stale.process.send_signal(signal.SIGSTOP)
        try:
            assert job(platform, job_id)["state"] == "running", "frozen too late: the attempt was over"
            winner = started(platform, "winner")
            before = ended(platform, job_id)
        finally:
            stale.process.send_signal(signal.SIGCONT)
        eventually(lambda: "claim_superseded" in stale.log.read_text())
        after = job(platform, job_id)
        assert (after["state"], after["result"]) == ("succeeded", before["result"])
        assert after["result"]["pid"] == winner.process.pid
        (attempt,) = attempts(platform, job_id)
        assert (attempt["state"], attempt["deliveries"], wrote(winner, attempt)) == ("succeeded", 2, True)
    finally:
        platform.stop_all()


def _files(folder: str, job_id: str) -> Iterator[Path]:
    return Path(folder).glob(f"jobs/{job_id}/*/who.txt")
