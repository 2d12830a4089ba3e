"""The steward as a task: of an api process, or alone as `holdfast steward`."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from holdfast import bootstrap
from holdfast.runtimes import StewardRuntime
from holdfast.settings import Settings
from holdfast.steward import loops
from holdfast.steward.leader import Steward
from holdfast.telemetry import tracing
from holdfast.telemetry.census import CENSUS
from holdfast.telemetry.cloudwatch import CloudWatch
from holdfast.telemetry.exposition import Exposition
from holdfast.telemetry.families import Teller
from holdfast.telemetry.pool import POOL
from holdfast.telemetry.probe import probe
from holdfast.telemetry.waiting import DEPTHS


async def serve(settings: Settings) -> None:
    """Stand for election until cancelled."""
    async with bootstrap.steward(settings) as runtime:
        await build(runtime).run()


def build(runtime: StewardRuntime) -> Steward:
    """The steward with all its loops."""
    core, settings = runtime.core, runtime.core.settings
    namespace = settings.cloudwatch_namespace
    return Steward(
        runtime.leadership,
        [
            loops.keep_topology(runtime.topology),
            loops.relay(core.outbox, core.dispatch, timedelta(seconds=settings.relay_after)),
            loops.promote(core.outbox, core.dispatch, core.faults),
            loops.rescue(core.outbox, core.dispatch, timedelta(seconds=settings.rescue_after), core.faults),
            loops.advance(core.outbox, core.dispatch),
            loops.unpark(runtime.endpoints, core.dispatch, settings.endpoint_ramp),
            loops.probe(runtime.probe.turn),
            loops.conserve(runtime.conservation, CENSUS.show, settings.conserve_every),
            loops.watch_downstreams(runtime.breakers, POOL.show),
            loops.watch_waiting(runtime.recent, DEPTHS.show),
            *([loops.tell_backlog(runtime.recent, CloudWatch(namespace).tell)] if namespace else []),
            loops.retain(runtime.retain),
            loops.archive(runtime.dead_queue, runtime.bury, core.faults),
        ],
    )


def main(settings: Settings) -> None:
    """Run the steward alone."""
    exposition = Exposition("steward", {Teller.STEWARD})
    with probe(settings.metrics_host, settings.metrics_port, exposition.text, lambda: True), asyncio.Runner() as runner:
        runner.run(_alone(settings))


async def _alone(settings: Settings) -> None:
    async with tracing.started("steward"):
        await serve(settings)
