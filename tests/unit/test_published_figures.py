"""Published figures come from the results alone, and a visit that does not add up is told as failed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / name) for name in ("loadtest", "tests/chaos")]

from peers.visit import DoesNotAddUp, rate  # noqa: E402
from published import goals, pages, peers  # noqa: E402


def visit(a_second: float) -> dict[str, Any]:
    cpu = {"own": 100, "postgres": 50}
    return {name: {"a second": a_second, "cpu us": cpu} for name in peers.MEASURES}


FOUND = {
    "date": "2026-01-01",
    "command": "make peers",
    "machine": "2 cores",
    "visits": {
        "1/holdfast": visit(300),
        "1/celery-redis": visit(100),
        "2/celery-redis": {"failed": str(DoesNotAddUp("8000 no-ops were accepted and 7999 settled"))},
        "2/holdfast": visit(900),
        "3/celery-redis": visit(400),
        "3/holdfast": visit(400),
    },
}


def test_a_ratio_is_the_median_of_the_rounds_in_which_both_added_up() -> None:
    assert peers.ratio(FOUND, "celery-redis", "noop") == (2.0, 1.0, 3.0)


def test_a_side_that_never_added_up_has_no_ratio() -> None:
    assert peers.ratio(FOUND, "taskiq", "noop") is None


def test_a_visit_that_does_not_add_up_is_on_the_page_with_its_reason() -> None:
    text = peers.markdown(FOUND)

    assert "Visits that failed" in text
    assert "8000 no-ops were accepted and 7999 settled" in text


def test_every_peer_says_what_it_does_not_guarantee() -> None:
    assert all(peer.not_guaranteed for peer in peers.PEERS)


def test_a_rate_leaves_out_the_first_and_the_last_tenth() -> None:
    start, steady, straggler = [0.0], [10 + number / 100 for number in range(98)], [1000.0]

    assert rate([*start, *steady, *straggler]) == pytest.approx(100)


@pytest.mark.parametrize("goal", goals.GOALS, ids=lambda goal: goal.text)
def test_what_was_not_measured_is_said_to_be_so(goal: goals.Goal) -> None:
    assert "not measured yet" in goal.row({})


def test_a_goal_that_is_missed_is_said_to_be_missed() -> None:
    slow = FOUND | {"visits": {"1/holdfast": visit(100), "1/celery-redis": visit(100)}}
    row = goals.GOALS[0].row({"peers": slow})

    assert "**missed**" in row


def test_every_page_can_be_written_from_what_is_published() -> None:
    assert pages.PAGE in pages.pages()
