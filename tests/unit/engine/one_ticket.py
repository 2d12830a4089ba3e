"""One ticket of one job, handed to the engine."""

from __future__ import annotations

from typing import Any

from engine_world import World

from holdfast.domain.attempt import Outcome
from holdfast.domain.envelope import Hints
from holdfast.domain.job import Job
from holdfast.engine.execute import Disposition
from holdfast.ports.handler import Context
from ledger_world import ticket_of

ACK, DEAD_LETTER, GIVE_BACK = Disposition.ACK, Disposition.DEAD_LETTER, Disposition.GIVE_BACK


async def run(world: World, job: Job, *, redelivered: bool = False) -> Disposition:
    return await world.execute.execute(ticket_of(job, redelivered=redelivered), Hints(kind=job.kind))


def answering(world: World, outcome: Any) -> None:
    async def act(context: Context, payload: Any) -> Outcome:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome  # type: ignore[no-any-return]

    world.echo.act = act
