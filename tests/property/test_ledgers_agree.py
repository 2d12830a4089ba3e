"""The ledger in memory and the ledger in Postgres, driven side by side: whatever happens, they agree.

After every step the two are compared in all that can be observed, and the invariants of the design are checked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from ledger_sides import (
    ALL,
    InMemory,
    InPostgres,
    Side,
    ids,
    kept,
    named,
    named_claims,
    observed,
    or_stale,
    plain,
    revived,
    row_of,
    settled,
)
from machine_profiles import bounded

from holdfast.adapters.memory.ledger import MemoryLedger
from holdfast.adapters.postgres.database import Database
from holdfast.domain.attempt import Bury, Claim, Outcome, Park, Retry, Succeeded, Ticket
from holdfast.domain.backoff import RetryPolicy
from holdfast.domain.callback import callback
from holdfast.domain.dead_letter import DeadLetter
from holdfast.domain.envelope import Envelope
from holdfast.domain.job import ENDED, LEGAL, Job, JobState
from holdfast.domain.settlement import Settlement, decide
from holdfast.ports.clock import SystemClock
from holdfast.settings import Settings
from ledger_world import BROKEN, FATAL, LEASE, LOST, make_job, make_letter

T = TypeVar("T")
HOUR = timedelta(hours=1)
POLICY = RetryPolicy(delays=(timedelta(seconds=2), timedelta(seconds=4)))
OUTCOMES: list[Outcome] = [
    Succeeded({"n": 1}, {"status": 200}),
    Retry(BROKEN, detail={"status": 500}),
    Retry(BROKEN, after=HOUR),
    Park(timedelta(seconds=1), "busy"),
    Park(HOUR, "busy"),
    Park(HOUR, "disabled", parked_by=UUID(int=1)),
    Bury(FATAL),
]
INDEX = st.integers(0, 63)
"""Chooses among what there is, by remainder."""
BEFORE = st.sampled_from([0, 0, 0, 0, -1, 1])
"""Which attempt a ticket is of, from the job's present one."""
CLAIMABLE = {JobState.QUEUED, JobState.RUNNING, JobState.WAITING}
LEASES = st.sampled_from([LEASE, LEASE, LOST])
TIMES, LANES = ["now", "now", "now", "now", "due", "later"], [None, None, None, None, "a", "b"]
ACCEPTED = st.tuples(st.integers(0, 7), st.sampled_from(TIMES), st.booleans(), st.sampled_from(LANES))
"""Key, when, whether it is tagged and called back, lane."""


class TwoLedgers(RuleBasedStateMachine):
    """The same random operations on both."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.database = Database(self.url, pool=1)
        self.memory = MemoryLedger(SystemClock())
        self.sides = InMemory(self.memory), InPostgres(self.database)
        self.tenant = f"tenant-{SystemClock().new_id()}"
        self.ids: list[UUID] = []
        self.letters: list[DeadLetter] = []
        self.tickets: dict[tuple[UUID, int], Envelope] = {}
        """Every message that ever stood in the outbox, by job and token."""
        self.sent: set[tuple[UUID, int]] = set()
        self.last: dict[UUID, tuple[JobState, int]] = {}
        self.replaying = False

    def teardown(self) -> None:
        self.runner.run(self.database.close())
        self.runner.close()

    # -- operations ---------------------------------------------------------------------------------------------

    @initialize(batch=st.lists(ACCEPTED, min_size=2, max_size=4))
    def begin(self, batch: list[tuple[int, str, bool, str | None]]) -> None:
        """Without it half of the runs are of a ledger in which nothing ever was."""
        self.accept(batch)

    @rule(batch=st.lists(ACCEPTED, min_size=1, max_size=4))
    def accept(self, batch: list[tuple[int, str, bool, str | None]]) -> None:
        jobs = [self.new_job(*item) for item in batch]
        owners = self.both(lambda side: ids(side.ledger.accept(jobs)))
        self.ids += [job.id for job, owner in zip(jobs, owners, strict=True) if job.id == owner]

    @precondition(lambda self: self.open())
    @rule(index=INDEX, redelivered=st.booleans(), lease=LEASES)
    def deliver(self, index: int, redelivered: bool, lease: timedelta) -> None:
        """The ticket of a job's present attempt, the first time or again."""
        self.claim(chosen(self.open(), index), 0, redelivered, lease)

    @precondition(lambda self: self.ids)
    @rule(index=INDEX, before=BEFORE, redelivered=st.booleans(), lease=LEASES)
    def deliver_anything(self, index: int, before: int, redelivered: bool, lease: timedelta) -> None:
        self.claim(self.job(index), before, redelivered, lease)

    def claim(self, job: Job, before: int, redelivered: bool, lease: timedelta) -> None:
        if job.state is JobState.WAITING and job.due_at is not None and not before:
            return  # there is no ticket of this attempt before `promote` writes it
        ticket = Ticket(job.id, job.attempt + before, redelivered)
        answers = self.each(lambda side: side.ledger.claim(ticket, f"w{len(side.claims) % 3}", lease))
        assert observed(answers[0]) == observed(answers[1])
        for side, answer in zip(self.sides, answers, strict=True):
            if isinstance(answer, Claim):
                assert all(answer.token > old.token for old in side.claims if old.job.id == job.id), "fencing"
                side.claims.append(answer)

    @precondition(lambda self: self.sides[0].claims)
    @rule(index=INDEX, outcome=st.sampled_from(OUTCOMES), due_now=st.booleans(), draw=st.sampled_from([0.0, 0.9]))
    def settle(self, index: int, outcome: Outcome, due_now: bool, draw: float) -> None:
        def settlement(claim: Claim) -> Settlement:
            made = decide(claim, outcome, POLICY, datetime.now(UTC), draw)
            made = replace(made, follow_up=told if made.job_state in ENDED else None)
            return replace(made, due_in=timedelta(seconds=-1)) if due_now and made.due_in is not None else made

        told = self.callback(chosen(self.sides[0].claims, index).job)
        self.both(lambda side: settled(side.ledger, chosen(side.claims, index), settlement))
        self.note(told)

    @precondition(lambda self: self.sides[0].claims)
    @rule()
    def look(self) -> None:
        """Whatever may settle holds its claim, and nothing else."""
        self.both(lambda side: named_claims(side.ledger.lapsed(side.claims)))

    @precondition(lambda self: self.sides[0].claims)
    @rule(index=INDEX)
    def give_back(self, index: int) -> None:
        self.both(lambda side: or_stale(side.ledger.give_back(chosen(side.claims, index))))

    @precondition(lambda self: self.ids)
    @rule(index=INDEX, foreign=st.sampled_from([False, False, False, True]))
    def cancel(self, index: int, foreign: bool) -> None:
        tenant = "another" if foreign else self.tenant
        self.both(lambda side: plain(side.ledger.cancel(tenant, chosen(self.ids, index))))

    @rule(lanes=st.lists(st.sampled_from(["a", "b"]), max_size=3))
    def release(self, lanes: list[str]) -> None:
        named = [f"{self.tenant}/{lane}" for lane in lanes]
        self.both(lambda side: self.ours(side.outbox.release(named)))

    @rule()
    def look_for_stalled_lanes(self) -> None:
        async def stalled(side: Side) -> set[str]:
            return {lane for lane in await side.outbox.stalled(ALL) if lane.startswith(f"{self.tenant}/")}

        self.both(stalled)

    @rule()
    def promote(self) -> None:
        self.both(lambda side: self.ours(side.outbox.promote(ALL)))

    @rule()
    def rescue(self) -> None:
        self.both(lambda side: self.ours(side.outbox.rescue(timedelta(0), ALL)))

    @precondition(lambda self: self.ids)
    @rule(index=INDEX, before=BEFORE)
    def reissue(self, index: int, before: int) -> None:
        job = self.job(index)
        self.both(lambda side: named(side.outbox.reissue(job.id, job.attempt + before)))

    @precondition(lambda self: self.ids)
    @rule(index=INDEX, before=BEFORE)
    def bury(self, index: int, before: int) -> None:
        job = self.job(index)
        told = self.callback(job)
        self.both(lambda side: side.ledger.bury(job.id, job.attempt + before, FATAL, told))
        self.note(told)

    @precondition(lambda self: self.tickets)
    @rule(chosen_ones=st.lists(INDEX, min_size=1, max_size=3))
    def confirm(self, chosen_ones: list[int]) -> None:
        """Early, late, twice: any message that ever was."""
        envelopes = [chosen(list(self.tickets.values()), index) for index in chosen_ones]
        self.both(lambda side: side.outbox.confirmed(envelopes))
        self.sent |= {(envelope.job_id, envelope.token) for envelope in envelopes}

    @precondition(lambda self: self.dead())
    @rule(index=INDEX, stray=st.booleans())
    def archive(self, index: int, stray: bool) -> None:
        letter = make_letter(chosen(self.dead(), index), tenant=self.tenant)
        letters = [letter, make_letter(tenant=self.tenant)] if stray else [letter]
        self.both(lambda side: side.dead_letters.archive(letters))
        self.letters += letters

    @precondition(lambda self: self.letters)
    @rule(index=INDEX, priority=st.sampled_from([None, 0, 31]))
    def replay(self, index: int, priority: int | None) -> None:
        self.replaying = True
        self.both(lambda side: revived(side.dead_letters.replay(chosen(self.letters, index).id, priority)))

    @precondition(lambda self: self.letters)
    @rule(index=INDEX)
    def drop(self, index: int) -> None:
        self.both(lambda side: kept(side.dead_letters.drop(chosen(self.letters, index).id, "ann", "noise")))

    # -- what must hold -----------------------------------------------------------------------------------------

    @invariant()
    def they_agree_and_keep_the_promises(self) -> None:
        here, there = self.each(lambda side: side.seen(self.tenant))
        for name in here._fields:
            assert getattr(here, name) == getattr(there, name), name
        for job in self.memory_jobs():
            self.moved_along_the_map(job, here.tokens[job.id][0])
            self.will_go_on(job, here.outbox)
        self.replaying = False

    def moved_along_the_map(self, job: Job, token: int) -> None:
        state, before = self.last.get(job.id, (job.state, token))
        assert token >= before, "tokens only grow"
        if state is not job.state:
            assert job.state in LEGAL[state], f"{state} → {job.state}"
            assert state not in ENDED or self.replaying, "what has ended stays so, unless an operator replays it"
        self.last[job.id] = job.state, token

    def will_go_on(self, job: Job, outbox: set[tuple[Any, ...]]) -> None:
        """A QUEUED job, or one that waits in the broker, has a message: in the outbox, or confirmed."""
        for job_id, token, *_ in outbox:
            self.tickets.setdefault((job_id, token), self.memory.outbox[job_id, token])
        if job.state is JobState.QUEUED or (job.state is JobState.WAITING and job.due_at is None):
            mine = [key for key, ticket in self.tickets.items() if key[0] == job.id and ticket.attempt == job.attempt]
            waiting = {(job_id, token) for job_id, token, *_ in outbox}
            assert any(key in waiting or key in self.sent for key in mine), f"{job.id} is {job.state} with no message"

    # -- looking ------------------------------------------------------------------------------------------------

    def memory_jobs(self) -> list[Job]:
        return [record.job for record in self.memory.records.values()]

    def dead(self) -> list[Job]:
        return [job for job in self.memory_jobs() if job.state is JobState.DEAD]

    def open(self) -> list[Job]:
        return [job for job in self.memory_jobs() if job.state in CLAIMABLE]

    def job(self, index: int) -> Job:
        return self.memory.records[chosen(self.ids, index)].job

    def callback(self, job: Job) -> Job | None:
        """The follow-up of a job that ends, when it asked for one; the same on both sides."""
        clock = self.memory.clock
        return callback(job, JobState.DEAD, None, FATAL, clock.new_id(), clock.now())

    def note(self, told: Job | None) -> None:
        if told is not None and told.id in self.memory.records:
            self.ids.append(told.id)

    def new_job(self, key: int, when: str, told: bool, lane: str | None) -> Job:
        past = datetime.now(UTC) - HOUR
        timing = {"now": {}, "due": {"now": past, "delay": timedelta(minutes=1)}, "later": {"delay": HOUR}}[when]
        url, tags = ("https://a.example/x", ("red",)) if told else (None, ())
        lane = lane and f"{self.tenant}/{lane}"
        return make_job(tenant=self.tenant, key=f"k{key}", tags=tags, callback_url=url, lane=lane, **timing)

    # -- doing --------------------------------------------------------------------------------------------------

    def each(self, act: Callable[[Side], Awaitable[T]]) -> list[T]:
        async def run(side: Side) -> T:
            return await act(side)

        return [self.runner.run(run(side)) for side in self.sides]

    def both(self, act: Callable[[Side], Awaitable[T]]) -> T:
        """The same on both, with the same answer."""
        here, there = self.each(act)
        assert here == there
        return here

    async def ours(self, found: Awaitable[list[Envelope]]) -> set[tuple[Any, ...]]:
        return {row_of(envelope) for envelope in await found if envelope.job_id in self.memory.records}


def chosen(values: list[T], index: int) -> T:
    return values[index % len(values)]


@pytest.mark.timeout(1800)
def test_the_two_ledgers_agree_whatever_happens(settings: Settings) -> None:
    machine = type("TwoLedgersHere", (TwoLedgers,), {"url": settings.postgres_url.get_secret_value()})
    run_state_machine_as_test(machine, settings=bounded(100))
