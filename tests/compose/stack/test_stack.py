"""The stack of docker-compose.yml for real: what it lets nobody do, what it does, and what it survives."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from compose_world import EIGHT, OUTSIDE, WEBHOOK_WORKERS, Stack
from harness import eventually, samples, total

pytestmark = pytest.mark.timeout(1800)

PROCESSES = ("api", "worker-render", "worker-webhook")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WEBHOOKS, DOCUMENTS = 300, 24
DOCUMENT = "<h1>Invoice</h1>" + "<p>A line that takes some time to lay out.</p>" * 400
UNPRIVILEGED = """
import os, pathlib, shutil
lines = pathlib.Path("/proc/1/status").read_text().splitlines()
status = dict(line.split(":\\t", 1) for line in lines if ":\\t" in line)
try:
    pathlib.Path("/opt/holdfast/x").write_text("")
    written = True
except OSError:
    written = False
tools = [tool for tool in ("gcc", "cc", "make", "pip", "uv", "git", "curl") if shutil.which(tool)]
print(os.getuid(), int(status["CapEff"], 16), status["NoNewPrivs"], status["Seccomp"], written, tools)
"""


@pytest.fixture
def receiver(stack: Stack) -> Iterator[str]:
    """A container that takes webhooks at the one private address that jobs may call; its name."""
    name = f"{stack.project}-receiver"
    address = ["--host", f"{OUTSIDE}.10", "--port", "9000", "--secret", SECRET]
    program = ["python", "-u", "/opt/holdfast/demo/receiver.py", *address]
    stack.compose("run", "--detach", "--no-deps", "--name", name, "smoke", *program)
    yield name
    subprocess.run(["docker", "rm", "--force", name], check=True, capture_output=True)


def test_all_eight_are_up_and_well(stack: Stack) -> None:
    found = stack.containers()
    assert {container["Service"] for container in found} == set(stack.services)
    assert len(found) == len(stack.services) + WEBHOOK_WORKERS - 1
    assert {container["Health"] for container in found} == {"healthy"}
    assert set(EIGHT) - set(stack.services) <= {"grafana"}


@pytest.mark.parametrize("service", PROCESSES)
def test_a_process_has_no_right_that_it_does_not_need(stack: Stack, service: str) -> None:
    said = stack.compose("exec", "-T", service, "python", "-c", UNPRIVILEGED).stdout.strip()
    assert said == "10001 0 1 2 False []"


def test_every_root_file_system_is_read_only(stack: Stack) -> None:
    for service in stack.services:
        done = stack.compose("exec", "-T", service, "sh", "-c", "echo > /usr/x", check=False)
        assert done.returncode != 0 and "ead-only" in done.stderr, service


def test_no_secret_is_in_an_image(stack: Stack) -> None:
    secrets = re.findall(r"^\w+=(.{20,})$", stack.env_file.read_text(), re.M)
    assert len(secrets) >= 7
    for image in ("holdfast", "holdfast-tools", "holdfast-rabbitmq", "holdfast-prometheus"):
        for command in (["history", "--no-trunc"], ["inspect"]):
            done = subprocess.run(["docker", *command, f"{image}:test"], capture_output=True, text=True, check=True)
            assert [secret for secret in secrets if secret in done.stdout] == []


def test_the_main_job_runs_through_the_containers(stack: Stack) -> None:
    done = stack.compose("run", "--rm", "--no-deps", "-e", f"HOLDFAST_API_KEY={stack.key()}", "smoke")
    assert "All 34 checks held." in done.stdout


def test_the_api_takes_no_request_without_a_key(stack: Stack) -> None:
    assert httpx.get(stack.url("api", 8000) + "/v1/jobs", timeout=30).status_code == 401


def test_prometheus_finds_every_replica_by_name(stack: Stack) -> None:
    expected = {"api": 1, "worker-render": 1, "worker-webhook": WEBHOOK_WORKERS, "rabbitmq": 2, "prometheus": 1}
    address = stack.url("prometheus", 9090) + "/api/v1/query"

    def found() -> dict[str, int]:
        answer = httpx.get(address, params={"query": "count by (service) (up == 1)"}, timeout=30).json()
        return {row["metric"]["service"]: int(row["value"][1]) for row in answer["data"]["result"]}

    eventually(found, lambda seen: seen == expected, within=120, every=1)


def test_every_job_finishes_when_a_worker_and_the_broker_are_killed(stack: Stack, receiver: str) -> None:
    with stack.client() as api:
        ids = [*_submit(api, WEBHOOKS, _webhook), *_submit(api, DOCUMENTS, _document)]
        victim = f"{stack.project}-worker-render-1"
        eventually(lambda: _count(api, "running", "pdf.render"), within=120)
        subprocess.run(["docker", "kill", victim], check=True, capture_output=True)
        assert _count(api, "running", "pdf.render") > 0, "the worker had nothing in its hands when it was killed"
        subprocess.run(["docker", "kill", f"{stack.project}-rabbitmq-1"], check=True, capture_output=True)
        accepted = _submit(api, 5, _webhook)  # while the broker is away
        stack.up()
        ids += accepted
        eventually(lambda: _states(api, ids), lambda states: states == {"succeeded": len(ids)}, within=600, every=2)
        redelivered = [job for job in ids if _deliveries(api, job) > 1]
        eventually(lambda: _unaccounted(api), lambda count: count == 0, within=120, every=2)
    assert redelivered, "no job was taken from the dead worker, so nothing was shown"
    received = subprocess.run(["docker", "logs", receiver], capture_output=True, text=True, check=True).stdout
    assert len(set(re.findall(r"^(\S+)  \d+ bytes$", received, re.M))) == WEBHOOKS + 5


@pytest.mark.parametrize("service", ("worker-webhook", "worker-render", "api"))
def test_a_process_ends_by_itself_when_it_is_told_to(stack: Stack, service: str) -> None:
    stack.compose("stop", service)
    ended = {container["ExitCode"] for container in stack.containers() if container["Service"] == service}
    assert ended <= {0, 143}, "137 is a kill; uvicorn ends by the signal that it was told, when it has finished"
    stack.up()


def _webhook(number: int) -> dict[str, Any]:
    payload = {"url": f"http://{OUTSIDE}.10:9000/webhooks", "body": {"n": number}, "secret": SECRET}
    return {"kind": "webhook.dispatch", "payload": payload}


def _document(number: int) -> dict[str, Any]:
    return {"kind": "pdf.render", "payload": {"html": f"{DOCUMENT}<p>{number}</p>"}}


def _submit(api: httpx.Client, count: int, job: Any) -> list[str]:
    answers = [api.post("/v1/jobs", json=job(number)).raise_for_status() for number in range(count)]
    return [answer.json()["id"] for answer in answers]


def _count(api: httpx.Client, state: str, kind: str) -> int:
    return len(api.get("/v1/jobs", params={"state": state, "kind": kind}).raise_for_status().json()["jobs"])


def _states(api: httpx.Client, ids: list[str]) -> dict[str, int]:
    states = [api.get(f"/v1/jobs/{job}").raise_for_status().json()["state"] for job in ids]
    return {state: states.count(state) for state in states}


def _deliveries(api: httpx.Client, job: str) -> int:
    attempts = api.get(f"/v1/jobs/{job}/attempts").raise_for_status().json()["attempts"]
    return max(attempt["deliveries"] for attempt in attempts)


def _unaccounted(api: httpx.Client) -> float:
    return total(samples(httpx.get(f"{api.base_url}/metrics", timeout=30).text), "holdfast_jobs_unaccounted")
