"""Two api processes on one port: one count, whoever answers; one that is killed is replaced, and no count goes back."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from uuid import uuid4

import httpx
import psutil
import pytest

from harness import Platform, eventually, runs, samples, total
from holdfast.settings import Settings

JOBS = 40
ACCEPTED = "holdfast_jobs_accepted_total"


@pytest.fixture(scope="module")
def pair(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    settings = module_settings.model_copy(update={"api_processes": 2, "steward_in_api": False})
    running = Platform(settings, tmp_path_factory.mktemp("several"))
    try:
        running.start("api")
        running.wait_ready()
        yield running
    finally:
        running.stop_all()


def serving(pair: Platform) -> list[psutil.Process]:
    """The processes that hold the port, without the supervisor and its helper."""
    found = []
    for child in pair.members["api"].children():
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie, too
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


def submit(pair: Platform, jobs: int) -> None:
    """Each on a connection of its own, so that both processes get some."""
    for _ in range(jobs):
        body = {"kind": "custom.noop", "payload": {}}
        answer = httpx.post(f"{pair.url}/v1/jobs", json=body, headers={"Idempotency-Key": str(uuid4())}, timeout=60)
        assert answer.status_code == 202, answer.text


def told(pair: Platform) -> set[float]:
    """What whoever answers says of the accepted jobs, asked often enough to meet both."""
    pages = [httpx.get(f"{pair.url}/metrics", timeout=60) for _ in range(12)]
    return {total(samples(page.raise_for_status().text), ACCEPTED, kind="custom.noop") for page in pages}


def test_both_serve_and_any_of_them_tells_for_both(pair: Platform) -> None:
    processes = eventually(lambda: serving(pair), lambda found: len(found) == 2)
    before = [sum(process.cpu_times()[:2]) for process in processes]
    submitted = 0
    # Processor time is told in ticks of ten milliseconds, so a few requests may not show.
    while not all(sum(it.cpu_times()[:2]) > spent for it, spent in zip(processes, before, strict=True)):
        assert submitted < 5 * JOBS, "one of them had none"
        submit(pair, 5)
        submitted += 5
    assert told(pair) == {submitted}
    page = httpx.get(f"{pair.url}/metrics", timeout=60).text
    assert "process_resident_memory_bytes" not in page, "of which process?"


def test_one_that_is_killed_is_replaced_and_its_counts_stay(pair: Platform) -> None:
    victim = serving(pair)[0]
    [counted] = told(pair)
    os.kill(victim.pid, signal.SIGKILL)
    eventually(lambda: {it.pid for it in serving(pair)} - {victim.pid}, lambda left: len(left) == 2, within=60)
    eventually(lambda: _ready(pair), within=60)
    submit(pair, JOBS)
    assert told(pair) == {counted + JOBS}


def _ready(pair: Platform) -> bool:
    try:
        return all(httpx.get(f"{pair.url}/readyz").status_code == 200 for _ in range(6))
    except httpx.TransportError:
        return False


def test_they_end_with_their_supervisor(pair: Platform) -> None:
    below = pair.members["api"].children()
    assert pair.members["api"].terminate() == 0
    eventually(lambda: [it for it in below if runs(it)], lambda left: not left)


def test_they_leave_the_steward_to_a_process_of_its_own(
    module_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    alone = Platform(module_settings.model_copy(update={"api_processes": 2}), tmp_path_factory.mktemp("refused"))
    member = alone.start("api")
    assert member.process.wait(120) != 0
    assert "HOLDFAST_STEWARD_IN_API=false" in member.tail()
    assert "Traceback" not in member.tail()


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ({"api_host": "0.0.0.0"}, "HOLDFAST_SIGNING_KEY is not set"),
        ({"artifacts_url": "nowhere://x"}, "nowhere"),
    ],
    ids=["the supervisor sees it", "the processes see it"],
)
def test_what_cannot_start_says_why_and_ends(
    module_settings: Settings, tmp_path_factory: pytest.TempPathFactory, wrong: dict[str, str], advice: str
) -> None:
    settings = module_settings.model_copy(update={"api_processes": 2, "steward_in_api": False} | wrong)
    member = Platform(settings, tmp_path_factory.mktemp("wrong")).start("api")
    assert member.process.wait(120) not in {0, -signal.SIGKILL}
    assert advice in member.tail(100)
