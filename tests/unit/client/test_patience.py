"""How long the client waits between two requests."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from holdfast.client.patience import Patience, seconds_of

NOW = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


def test_waits_double_up_to_the_longest_and_half_of_each_is_jitter() -> None:
    patience = Patience(first=0.2, longest=5.0)
    assert [patience.pause(n, 1.0) for n in (1, 2, 3, 4, 5, 6, 7)] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])
    assert patience.pause(3, 0.0) == pytest.approx(0.4)
    assert patience.pause(10_000, 0.999) <= 5.0


@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999])
def test_a_retry_after_is_never_cut_short(draw: float) -> None:
    assert 7.0 <= Patience().pause(1, draw, retry_after=7.0) <= 7.2


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        ("0", 0.0),
        ("-5", 0.0),
        ("Fri, 01 May 2026 12:00:30 GMT", 30.0),
        ("Fri, 01 May 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str | None, seconds: float | None) -> None:
    assert seconds_of(header, NOW) == seconds
