"""The map of a job's states, and the ids that sort by time."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.errors import IllegalTransition
from holdfast.domain.job import CANCELLABLE, ENDED, LEGAL, MAX_PRIORITY, MIN_PRIORITY, PRIORITIES, JobState, job_id
from ledger_world import make_job

JOB = make_job(key="k")
STATES = st.sampled_from(JobState)


def test_the_map_lists_every_state() -> None:
    assert set(LEGAL) == set(JobState)


@pytest.mark.parametrize("state", JobState)
@pytest.mark.parametrize("to", JobState)
def test_a_job_moves_along_the_map_and_nowhere_else(state: JobState, to: JobState) -> None:
    job = replace(JOB, state=state)
    if to in LEGAL[state]:
        assert job.move(to).state is to
    else:
        with pytest.raises(IllegalTransition, match=f"{state} and cannot become {to}"):
            job.move(to)


@given(st.lists(STATES, max_size=40))
def test_random_moves_never_leave_the_map(moves: list[JobState]) -> None:
    job, path = JOB, [JOB.state]
    for to in moves:
        try:
            job = job.move(to)
        except IllegalTransition:
            assert to not in LEGAL[path[-1]]
        else:
            path.append(to)
    assert all(to in LEGAL[at] for at, to in itertools.pairwise(path))
    for at, to in itertools.pairwise(path):
        if at in ENDED:
            assert at is JobState.DEAD, "only a replay leads out of an ended state"
            assert to in {JobState.QUEUED, JobState.BLOCKED}


def test_whatever_has_not_ended_can_be_cancelled() -> None:
    assert set(CANCELLABLE) == set(JobState) - ENDED
    assert all(JobState.CANCELLED in LEGAL[state] for state in CANCELLABLE)


def test_every_open_state_leads_to_an_end() -> None:
    for state in set(JobState) - ENDED:
        seen, frontier = set(), {state}
        while frontier:
            seen |= frontier
            frontier = set().union(*(LEGAL[at] for at in frontier)) - seen
        assert seen >= ENDED, f"{state} does not lead to {ENDED - seen}"


def test_a_move_carries_its_changes_and_leaves_the_original_alone() -> None:
    moved = JOB.move(JobState.RUNNING, attempt=3)
    assert (moved.state, moved.attempt) == (JobState.RUNNING, 3)
    assert (JOB.state, JOB.attempt) == (JobState.QUEUED, 1)


def test_the_named_priorities_are_priorities_of_a_quorum_queue() -> None:
    assert MIN_PRIORITY <= PRIORITIES["low"] < PRIORITIES["default"] < PRIORITIES["high"] <= MAX_PRIORITY


MILLIS = st.integers(0, 2**48 - 1)
ENTROPY = st.binary(min_size=10, max_size=10)


@given(MILLIS, ENTROPY)
def test_a_job_id_is_a_uuid_of_version_7_and_tells_its_time(now_ms: int, entropy: bytes) -> None:
    made = job_id(now_ms, entropy)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == now_ms


@given(MILLIS, MILLIS, ENTROPY, ENTROPY)
def test_job_ids_sort_by_time(one: int, other: int, first: bytes, second: bytes) -> None:
    if one < other:
        assert job_id(one, first) < job_id(other, second)


@given(MILLIS, ENTROPY, ENTROPY)
def test_all_but_six_bits_of_the_entropy_count(now_ms: int, first: bytes, second: bytes) -> None:
    masked = [int.from_bytes(entropy, "big") & ~(0xF << 76) & ~(0b11 << 62) for entropy in (first, second)]
    assert (job_id(now_ms, first) == job_id(now_ms, second)) == (masked[0] == masked[1])
