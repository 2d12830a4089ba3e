"""The short form of `make sick`: a hundred webhooks to a healthy host, a hundred to one that is sick, and the counts.

Times are not asserted here: the machine that runs the tests does other things too.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from sick import targets
from sick.figures import healthy, sick
from sick.holdfast_side import HoldfastSide
from sick.program import receiving
from sick.receiver import Mode
from sick.run import Scale, carry_out

from harness import Platform
from holdfast.settings import Settings

SHORT = Scale(jobs=100, rate=25.0, timeout=10.0, hold=1.0, drain=120.0)
QUICK = {"webhook:*": {"open": 1.0, "ramp_step": 1.0}}
"""The breaker's periods, in seconds: a fifth of the defaults."""
WORKERS = ("worker-webhook-1", "worker-webhook-2")


@pytest.mark.slow
def test_a_sick_host_costs_its_own_webhooks_a_wait_and_nobody_anything_else(
    own_settings: Settings, tmp_path: Path
) -> None:
    platform = Platform(own_settings, tmp_path)
    try:
        platform.start("api")
        for name in WORKERS:
            platform.start(name, command="worker-webhook", worker_concurrency_webhook=8, downstreams=QUICK)
        platform.wait_ready()
        healthy_host, sick_host = _hosts()
        with receiving(tmp_path, healthy_host, {Mode.REFUSING: sick_host}) as outside:
            side = HoldfastSide(own_settings, platform.url, tmp_path)
            run = carry_out(side, outside, SHORT, Mode.REFUSING, print)
    finally:
        platform.stop_all()
    found = targets.counts(run.name, healthy(run), sick(run) | side.more(run))
    assert not {promise.text: promise.offenders for promise in found if not promise.held}


def _hosts() -> list[str]:
    """Two addresses that no other test uses: what Redis remembers of a host is shared."""
    draw = random.SystemRandom()
    return [f"127.{second}.{draw.randrange(256)}.7" for second in draw.sample(range(64, 128), 2)]
