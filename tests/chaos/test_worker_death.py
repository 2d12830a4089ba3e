"""Workers that are killed, stopped or poisoned in the middle of a job."""

from __future__ import annotations

import os
import signal
from typing import Any

import httpx
import psutil
import pytest
from slow_receiver import SlowReceiver

from harness import Platform, eventually, runs


def post(platform: Platform, kind: str, payload: dict[str, Any]) -> str:
    with platform.client() as client:
        response = client.post("/v1/jobs", json={"kind": kind, "payload": payload})
        assert response.status_code == 202, response.text
        job_id: str = response.json()["id"]
        return job_id


def ended(platform: Platform, job_id: str, within: float = 60.0) -> dict[str, Any]:
    with platform.client() as client:
        return eventually(
            lambda: client.get(f"/v1/jobs/{job_id}", params={"wait": 5}).json(),
            lambda job: job["state"] in {"succeeded", "dead", "cancelled"},
            within=within,
        )


def attempts(platform: Platform, job_id: str) -> list[dict[str, Any]]:
    answer = httpx.get(f"{platform.url}/v1/jobs/{job_id}/attempts", timeout=60)
    found: list[dict[str, Any]] = answer.json()["attempts"]
    return found


def test_kill_9_of_a_whole_worker_in_the_middle_of_a_job_succeeds_it_once(
    fragile: Platform, slow: SlowReceiver
) -> None:
    worker = fragile.start("worker-webhook")
    fragile.wait_ready("worker-webhook")
    job_id = post(fragile, "webhook.dispatch", {"url": slow.url, "body": {}})
    eventually(slow.deliveries.total)
    worker.kill_all()
    fragile.start("successor", command="worker-webhook")
    eventually(lambda: slow.deliveries.total() == 2)
    slow.go.set()
    job = ended(fragile, job_id)
    assert (job["state"], job["attempt"]) == ("succeeded", 1)
    assert [(a["state"], a["deliveries"]) for a in attempts(fragile, job_id)] == [("succeeded", 2)]
    assert list(slow.deliveries.values()) == [2], "the same webhook-id, so that the receiver can tell"


@pytest.mark.parametrize("victim", ["child", "parent"])
def test_kill_9_in_the_render_pool_succeeds_the_job_once(fragile: Platform, victim: str) -> None:
    worker = fragile.start("worker-render")
    fragile.wait_ready("worker-render")
    html = "<style>td{border:1px solid}</style><table>" + "<tr><td>cell</td><td>cell</td></tr>" * 3000 + "</table>"
    job_id = post(fragile, "pdf.render", {"html": html})
    with fragile.client() as client:
        eventually(lambda: client.get(f"/v1/jobs/{job_id}").json()["state"] == "running")
    pid = int(attempts(fragile, job_id)[0]["worker"].rsplit(":", 1)[1])
    assert psutil.pid_exists(pid)
    below = worker.children()
    os.kill(pid if victim == "child" else worker.process.pid, signal.SIGKILL)
    if victim == "parent":
        worker.process.wait()
        fragile.start("successor", command="worker-render")
    job = ended(fragile, job_id, within=90)
    assert (job["state"], job["attempt"]) == ("succeeded", 1)
    assert attempts(fragile, job_id)[0]["deliveries"] >= 2
    if victim == "parent":
        eventually(lambda: [process.pid for process in below if runs(process)], lambda left: not left)


def test_a_stopping_worker_finishes_what_it_can(fragile: Platform, slow: SlowReceiver) -> None:
    worker = fragile.start("worker-webhook")
    fragile.wait_ready("worker-webhook")
    job_id = post(fragile, "webhook.dispatch", {"url": slow.url, "body": {}})
    eventually(slow.deliveries.total)
    worker.process.send_signal(signal.SIGTERM)
    eventually(lambda: "draining" in worker.log.read_text())
    slow.go.set()
    assert worker.process.wait(60) == 0
    assert ended(fragile, job_id)["state"] == "succeeded"
    assert attempts(fragile, job_id)[0]["deliveries"] == 1


@pytest.mark.parametrize("pool", ["worker-webhook", "worker-render"])
def test_a_stopping_worker_gives_the_rest_back_unspent(fragile: Platform, pool: str, slow: SlowReceiver) -> None:
    worker = fragile.start(pool, worker_grace=0.5)
    fragile.wait_ready(pool)
    if pool == "worker-webhook":
        job_id = post(fragile, "webhook.dispatch", {"url": slow.url, "body": {}})
        eventually(slow.deliveries.total)
    else:
        source = {"url": slow.url}
        slow_get(slow)
        job_id = post(fragile, "image.transform", {"source": source, "variants": [{"name": "a", "width": 9}]})
        eventually(slow.deliveries.total)
    assert worker.terminate() == 0, worker.tail()
    with fragile.client() as client:
        assert client.get(f"/v1/jobs/{job_id}").json()["state"] == "queued"
    (attempt,) = attempts(fragile, job_id)
    assert (attempt["state"], attempt["deliveries"]) == ("returned", 0)
    slow.go.set()
    fragile.start("successor", command=pool)
    job = ended(fragile, job_id)
    assert job["attempt"] == 1
    assert attempts(fragile, job_id)[0]["deliveries"] == 1


def slow_get(slow: SlowReceiver) -> None:
    """Let the receiver hold GETs too."""
    endpoint: Any = slow._server.RequestHandlerClass
    endpoint.do_GET = endpoint.do_POST


def test_a_job_that_kills_its_worker_is_taken_out_as_poisoned_and_costs_its_neighbours_nothing(
    fragile: Platform,
) -> None:
    fragile.start("worker-render")
    fragile.wait_ready("worker-render")
    poison = post(fragile, "test.crash", {})
    neighbours = [post(fragile, "pdf.render", {"html": f"<p>{n}</p>"}) for n in range(4)]
    job = ended(fragile, poison, within=200)
    assert (job["state"], job["failure"]["reason"]) == ("dead", "poisoned")
    assert [ended(fragile, job_id)["state"] for job_id in neighbours] == ["succeeded"] * 4
    with fragile.client() as client:
        letters = eventually(
            lambda: client.get("/v1/dead-letters", params={"reason": "poisoned"}).json()["dead_letters"]
        )
    assert poison in {letter["job_id"] for letter in letters}


@pytest.mark.parametrize("pool", ["worker-webhook", "worker-render"])
def test_a_worker_whose_runtime_cannot_come_up_ends_and_says_why(fragile: Platform, pool: str) -> None:
    worker = fragile.start(pool, artifacts_url="ftp://nowhere")
    assert eventually(worker.process.poll, lambda code: code is not None, within=120) != 0
    assert "worker_cannot_start" in worker.log.read_text()
    assert not worker.ready_file.exists(), "or its health check would call it well"


def test_a_handler_that_blocks_the_loop_is_ended_and_taken_out_and_costs_its_neighbours_nothing(
    fragile: Platform,
) -> None:
    fragile.start("worker-render", worker_loop_patience=1.0)
    fragile.wait_ready("worker-render")
    stuck = post(fragile, "test.stick", {"seconds": 600})
    neighbours = [post(fragile, "pdf.render", {"html": f"<p>{n}</p>"}) for n in range(4)]
    job = ended(fragile, stuck, within=200)
    assert (job["state"], job["failure"]["reason"]) == ("dead", "poisoned")
    assert [ended(fragile, job_id)["state"] for job_id in neighbours] == ["succeeded"] * 4
