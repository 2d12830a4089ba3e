"""The steward as a task: of an api process, or alone as `holdfast steward`."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from holdfast import bootstrap
from holdfast.settings import Settings
from holdfast.steward import loops
from holdfast.steward.leader import Steward
from holdfast.telemetry import metrics


async def serve(settings: Settings) -> None:
    """Stand for election until cancelled."""
    async with bootstrap.steward(settings) as runtime:
        await build(runtime).run()


def build(runtime: bootstrap.StewardRuntime) -> Steward:
    """The steward with all its loops."""
    core, settings = runtime.core, runtime.core.settings
    return Steward(
        runtime.leadership,
        [
            loops.keep_topology(runtime.topology),
            loops.relay(core.outbox, core.dispatch, timedelta(seconds=settings.relay_after)),
            loops.promote(core.outbox, core.dispatch, core.faults),
            loops.rescue(core.outbox, core.dispatch, timedelta(seconds=settings.rescue_after), core.faults),
            loops.advance(core.outbox, core.dispatch),
            loops.conserve(runtime.conservation, metrics.CENSUS.show, settings.conserve_every),
            loops.retain(runtime.retain),
            loops.archive(runtime.dead_queue, runtime.bury, core.faults),
        ],
    )


def main(settings: Settings) -> None:
    """Run the steward alone."""
    with asyncio.Runner() as runner:
        runner.run(serve(settings))
