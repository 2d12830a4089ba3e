"""Lanes against a model: whatever is accepted, fails, is cancelled, dies, is replayed or crashes, nobody overtakes.

The model of a lane is a list of names: who comes is put at its end, who ends is taken out, a replay is put at the end
again. At any moment only the first of a list may be under way, and after the steward has looked, the first of each is.
A crash is a call of `release` that does not happen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from machine_profiles import bounded

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.dead_letters import PostgresDeadLetters
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.outbox import PostgresOutbox
from holdfast.domain.attempt import Bury, Claim, Outcome, Park, Retry, Succeeded, Ticket
from holdfast.domain.backoff import RetryPolicy
from holdfast.domain.job import ENDED, Job, JobState
from holdfast.domain.lane import UNDER_WAY
from holdfast.domain.settlement import decide
from holdfast.ports.clock import SystemClock
from holdfast.settings import Settings
from ledger_world import BROKEN, FATAL, LEASE, make_job, make_letter

T = TypeVar("T")
POLICY = RetryPolicy(delays=(timedelta(seconds=2),))
OUTCOMES: list[Outcome] = [
    Succeeded({}),
    Succeeded({}),
    Retry(BROKEN),
    Retry(BROKEN, after=timedelta(hours=1)),
    Park(timedelta(hours=1), "busy"),
    Bury(FATAL),
]
LANES = st.sampled_from(["a", "b"])
INDEX = st.integers(0, 63)
LIVES = st.sampled_from([True, True, False])
"""Whether the process lives to let the next job begin."""


class Lanes(RuleBasedStateMachine):
    url: str

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.database = Database(self.url, pool=1)
        self.ledger, self.outbox = PostgresLedger(self.database), PostgresOutbox(self.database)
        self.dead_letters = PostgresDeadLetters(self.database)
        self.tenant = f"tenant-{SystemClock().new_id()}"
        self.model: dict[str, list[UUID]] = {"a": [], "b": []}
        self.lane_of: dict[UUID, str] = {}

    def teardown(self) -> None:
        self.run(self.database.close())
        self.runner.close()

    @rule(lane=LANES, later=st.sampled_from([False, False, True]), lives=LIVES)
    def accept(self, lane: str, later: bool, lives: bool) -> None:
        delay = timedelta(seconds=0.001) if later else None
        job = make_job(tenant=self.tenant, lane=f"{self.tenant}/{lane}", delay=delay)
        self.run(self.ledger.accept([job]))
        self.model[lane].append(job.id)
        self.lane_of[job.id] = lane
        self.advance(job, lives)

    @precondition(lambda self: self.under_way())
    @rule(index=INDEX, outcome=st.sampled_from(OUTCOMES), lives=LIVES)
    def run_one(self, index: int, outcome: Outcome, lives: bool) -> None:
        job = chosen(self.under_way(), index)
        claim = self.run(self.ledger.claim(Ticket(job.id, job.attempt, redelivered=True), "w", LEASE))
        if not isinstance(claim, Claim):
            assert job.state is JobState.SCHEDULED
            return
        self.run(self.ledger.settle(claim, decide(claim, outcome, POLICY, datetime.now(UTC), 0.0)))
        self.after_an_end(job, lives)

    @precondition(lambda self: self.lane_of)
    @rule(index=INDEX, lives=LIVES)
    def cancel(self, index: int, lives: bool) -> None:
        job = self.job(chosen(list(self.lane_of), index))
        self.run(self.ledger.cancel(self.tenant, job.id))
        self.after_an_end(job, lives)

    @precondition(lambda self: self.under_way())
    @rule(index=INDEX, lives=LIVES)
    def bury(self, index: int, lives: bool) -> None:
        job = chosen(self.under_way(), index)
        self.run(self.ledger.bury(job.id, job.attempt, FATAL))
        self.after_an_end(job, lives)

    @precondition(lambda self: self.dead())
    @rule(index=INDEX, lives=LIVES)
    def replay(self, index: int, lives: bool) -> None:
        job = chosen(self.dead(), index)
        letter = make_letter(job, tenant=self.tenant)
        self.run(self.dead_letters.archive([letter]))
        if self.run(self.dead_letters.replay(letter.id, None)) is not None:
            self.model[self.lane_of[job.id]].append(job.id)
            self.advance(job, lives)

    @rule()
    def promote(self) -> None:
        self.run(self.outbox.promote(100_000))

    @rule()
    def the_steward_looks(self) -> None:
        self.run(self.outbox.release(self.run(self.outbox.stalled(100_000))))
        for line in self.model.values():
            assert not line or self.job(line[0]).state in UNDER_WAY, "no lane stands still"

    @invariant()
    def only_the_first_of_a_lane_is_under_way(self) -> None:
        for line in self.model.values():
            jobs = [self.job(job_id) for job_id in line]
            assert [job.state for job in jobs[1:]] == [JobState.BLOCKED] * (len(jobs) - 1)
            assert not jobs or jobs[0].state in UNDER_WAY | {JobState.BLOCKED}

    def after_an_end(self, job: Job, lives: bool) -> None:
        line = self.model[self.lane_of[job.id]]
        if self.job(job.id).state in ENDED and job.id in line:
            line.remove(job.id)
            self.advance(job, lives)

    def advance(self, job: Job, lives: bool) -> None:
        if lives:
            self.run(self.outbox.release([str(job.lane)]))

    def jobs(self) -> list[Job]:
        return [self.job(job_id) for job_id in self.lane_of]

    def under_way(self) -> list[Job]:
        return [job for job in self.jobs() if job.state in UNDER_WAY]

    def dead(self) -> list[Job]:
        return [job for job in self.jobs() if job.state is JobState.DEAD]

    def job(self, job_id: UUID) -> Job:
        job = self.run(self.ledger.any_job(job_id))
        assert job is not None
        return job

    def run(self, act: Awaitable[T]) -> T:
        async def go() -> T:
            return await act

        return self.runner.run(go())


def chosen(values: list[T], index: int) -> T:
    return values[index % len(values)]


@pytest.mark.timeout(600)
def test_nobody_overtakes_in_a_lane_and_no_lane_stands_still(settings: Settings) -> None:
    machine = type("LanesHere", (Lanes,), {"url": settings.postgres_url.get_secret_value()})
    run_state_machine_as_test(machine, settings=bounded(12, steps=25))
