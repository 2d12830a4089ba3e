"""One input of each hostile family through the whole platform: its job ends by name, and no worker is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress

import httpx
import psutil
import pytest

from corpus import generate
from corpus.case import SUCCEEDED, TIMED_OUT, Case
from harness import JobCall, Platform, eventually
from holdfast.ports.limits import Limits
from holdfast.settings import Settings

PICTURE = [{"name": "small", "width": 32, "format": "png"}]


@pytest.fixture(scope="module")
def platform(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform that dials nothing."""
    running = Platform(module_settings, tmp_path_factory.mktemp("platform"))
    limits = Limits(image_timeout=20, pdf_timeout=20)
    try:
        running.start("api")
        running.start("worker-render", limits=limits, egress_allow=(), worker_concurrency_render=2)
        running.wait_ready()
        yield running
    finally:
        running.stop_all()


def sample() -> list[Case]:
    """The first input of each family, and its first that has to be killed; none that needs limits of its own.

    (The api itself refuses an empty upload.)
    """
    found: dict[tuple[str, bool], Case] = {}
    for case in generate.files():
        if not case.options and case.name != "nothing":
            found.setdefault((case.family, case.outcome == TIMED_OUT), case)
    return list(found.values())


@pytest.mark.timeout(600)
def test_hostile_jobs_end_by_name_and_cost_no_worker(
    platform: Platform, api: httpx.Client, submit: JobCall, wait: JobCall
) -> None:
    worker = platform.members["worker-render"]
    wait(submit("pdf.render", {"html": "warm"}), within=120)
    before = workers(worker.process.pid, platform)
    jobs = [(case, submitted(case, api, submit)) for case in sample()]
    wrong = []
    for case, job in jobs:
        ended = wait(job, within=150)
        outcome = SUCCEEDED if ended["state"] == "succeeded" else ended["failure"]["error"]
        if outcome not in case.outcomes:
            wrong.append((case.id, outcome, ended["failure"]))
    assert wrong == []
    eventually(lambda: workers(worker.process.pid, platform), lambda now: now == before)
    assert wait(submit("pdf.render", {"html": "and on"}))["state"] == "succeeded"


def submitted(case: Case, api: httpx.Client, submit: JobCall) -> dict[str, object]:
    """The job of a case; pictures are uploaded."""
    data = case.make()
    if case.family.startswith(("image", "picture", "something")):
        upload = api.post("/v1/uploads", content=data).json()
        return submit("image.transform", {"source": {"upload": upload["id"]}, "variants": PICTURE})
    soon = {"time_limit": 2} if case.outcome == TIMED_OUT else {}
    return submit("pdf.render", json.loads(data.replace(b"WEB", b"127.0.0.1:8000")) | soon)


def workers(pid: int, platform: Platform) -> set[int]:
    """The worker and its processes, without their isolated children."""
    found = {pid}
    for child in platform.members["worker-render"].children():
        with suppress(psutil.NoSuchProcess):  # a zombie, too
            if "isolation.child" not in " ".join(child.cmdline()):
                found.add(child.pid)
    return found
