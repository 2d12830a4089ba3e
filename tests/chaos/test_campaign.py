"""The short form of `make chaos`: every fault at least once, some six hundred jobs, the same audit."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack

import pytest
from campaign.holdfast_side import Scale, campaign
from campaign.world import observing, sandbox

SHORT = Scale(orders=600, rate=30.0, seed=2718, process_gap=2.5, service_gap=2.5, settle_within=180.0, short=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_is_lost_and_nothing_settles_twice_while_everything_breaks_once() -> None:
    with ExitStack() as stack:
        try:
            place = stack.enter_context(sandbox())
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no sandbox of its own: {error}")
        outcome = campaign(place, stack.enter_context(observing(place.root)), SHORT, print)
    broken = {promise.text: list(promise.offenders)[:10] for promise in outcome.promises if not promise.held}
    assert not broken, (broken, outcome.evidence[:20], outcome.faults)
    assert not outcome.errors
    assert [fault for fault, times in outcome.faults.items() if not times] == [], "a fault was never injected"
