"""Policies are data: the most specific pattern wins, field by field, and what cannot be is refused with a reason."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from holdfast.domain.downstream_policy import DownstreamPolicy, Policies
from holdfast.settings import Settings


def test_a_name_has_the_policy_of_its_family_and_any_other_the_default() -> None:
    policies = Policies()
    assert policies.of("pdf-engine:weasyprint").slow_ms == 45_000
    assert policies.of("webhook:example.com") == policies.of("smtp:relay") == policies.of("odd") == DownstreamPolicy()


def test_the_most_specific_pattern_wins_field_by_field() -> None:
    policies = Policies(
        {"*": {"open": 9, "probes": 7}, "webhook:*": {"open": 8}, "webhook:a.example": {"slow_share": 0.25}}
    )
    assert (policies.of("smtp:x").open_ms, policies.of("image-source:x").open_ms) == (9_000, 9_000)
    assert (policies.of("webhook:b.example").open_ms, policies.of("webhook:b.example").probes) == (8_000, 7)
    one = policies.of("webhook:a.example")
    assert (one.open_ms, one.probes, one.slow_permille) == (8_000, 7, 250)
    assert policies.of("image-source:x").slow_ms == 20_000


@pytest.mark.parametrize(
    ("pattern", "fields", "says"),
    [
        ("webhook:*", {"opne": 3}, "there is no field 'opne'; known are calm, "),
        ("webhook:*", {"open": "soon"}, "webhook:*: open cannot be 'soon'"),
        ("webhook:*", {"open": 0}, "webhook:*: open must be at least 0.001"),
        ("webhook:*", {"probes": 0}, "probes must be at least 1"),
        ("webhook:*", {"probes": 1.5}, "probes cannot be 1.5"),
        ("webhook:*", {"strict": "yes"}, "strict cannot be 'yes'"),
        ("webhook:*", {"failures_share": 50}, "failures must lie between 0 and 1"),
        ("webhook:*", {"concurrency": 1}, "least_concurrency and least_rate must not be larger"),
        ("web*", {"open": 3}, "'web*' is not a pattern; write a whole name"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(pattern: str, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        Policies({pattern: fields})


def test_a_wrong_setting_stops_the_process_when_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_DOWNSTREAMS", '{"webhook:*": {"opne": 3}}')
    with pytest.raises(ValidationError, match="there is no field 'opne'"):
        Settings()
