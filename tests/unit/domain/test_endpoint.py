"""An endpoint's moves, its secrets while they rotate, and when it has failed for too long."""

from __future__ import annotations

from datetime import timedelta

import pytest

from holdfast.domain.endpoint import MAX_SECRETS, Endpoint, EndpointState, Patience
from ledger_world import NOW, make_endpoint

PATIENCE = Patience(failures=3, lasting=timedelta(minutes=10))
LATER = NOW + timedelta(minutes=10)
DAY = timedelta(days=1)


def failing() -> Endpoint:
    return make_endpoint().failed(2, NOW, PATIENCE).failed(1, LATER, PATIENCE)


@pytest.mark.parametrize(
    ("wanted", "event_type", "delivered"),
    [
        ((), "order.paid", True),
        ((), None, True),
        (("order.paid",), "order.paid", True),
        (("order.paid",), "order.paid.late", False),
        (("order.*",), "order.paid.late", True),
        (("order.*",), "order", False),
        (("order.*",), "orders.paid", False),
        (("order.paid",), None, False),
    ],
)
def test_it_gets_the_types_that_it_wants(wanted: tuple[str, ...], event_type: str | None, delivered: bool) -> None:
    assert make_endpoint(event_types=wanted).wants(event_type) is delivered


def test_too_many_failures_for_too_long_disable_it() -> None:
    endpoint = failing()
    assert (endpoint.state, endpoint.probe_at) == (EndpointState.FAILING, LATER + PATIENCE.probe_wait(0))
    assert "3 attempts in a row" in str(endpoint.why)


@pytest.mark.parametrize(("times", "after"), [(100, timedelta(minutes=9)), (2, DAY)])
def test_many_failures_in_a_short_time_or_few_in_a_long_one_do_not(times: int, after: timedelta) -> None:
    endpoint = make_endpoint().failed(times - 1, NOW, PATIENCE).failed(1, NOW + after, PATIENCE)
    assert (endpoint.state, endpoint.failures) == (EndpointState.ENABLED, times)


def test_a_success_in_between_begins_the_count_anew() -> None:
    endpoint = make_endpoint().failed(2, NOW, PATIENCE).delivered().failed(2, LATER, PATIENCE)
    assert (endpoint.state, endpoint.failures, endpoint.failing_since) == (EndpointState.ENABLED, 2, LATER)


def test_a_probe_that_is_answered_enables_it_and_one_that_is_not_makes_the_next_wait_longer() -> None:
    endpoint, waits = failing(), []
    for _ in range(8):
        endpoint = endpoint.probed(False, LATER, PATIENCE)
        assert endpoint.probe_at is not None
        waits.append((endpoint.probe_at - LATER).total_seconds())
    assert waits == [120, 240, 480, 960, 1920, 3600, 3600, 3600]
    enabled = endpoint.probed(True, LATER, PATIENCE)
    assert (enabled.state, enabled.failures, enabled.probe_at, enabled.why) == (EndpointState.ENABLED, 0, None, None)


@pytest.mark.parametrize("state", [EndpointState.GONE, EndpointState.DISABLED, EndpointState.DELETED])
def test_nothing_but_failing_ends_by_itself(state: EndpointState) -> None:
    endpoint = make_endpoint(state=state)
    assert endpoint.probed(True, NOW, PATIENCE) == endpoint
    assert endpoint.failed(100, NOW, PATIENCE) == endpoint
    assert endpoint.gone(NOW) == endpoint


def test_a_410_disables_it_at_once_and_an_operator_enables_it() -> None:
    gone = make_endpoint().gone(NOW)
    assert (gone.state, gone.probe_at) == (EndpointState.GONE, None)
    assert gone.enabled(LATER).state is EndpointState.ENABLED


def test_a_deleted_one_stays_so_and_keeps_no_secret() -> None:
    endpoint = make_endpoint(headers={"X-A": "sealed:a"}).rotated("sealed:b", NOW, DAY).deleted(NOW)
    assert (endpoint.state, endpoint.secrets, endpoint.headers) == (EndpointState.DELETED, (), {})
    assert endpoint.enabled(NOW) == endpoint.disabled(NOW, "no") == endpoint


def test_while_a_secret_rotates_both_sign_and_then_the_newest_alone() -> None:
    endpoint = make_endpoint().rotated("old", NOW, DAY).rotated("new", NOW, DAY)
    assert [it.sealed for it in endpoint.signing(NOW + DAY / 2)] == ["new", "old"]
    assert [it.sealed for it in endpoint.signing(NOW + DAY)] == ["new"]


def test_a_rotation_without_overlap_ends_the_old_secret_at_once() -> None:
    endpoint = make_endpoint().rotated("leaked", NOW, DAY).rotated("new", NOW, timedelta(0))
    assert [it.sealed for it in endpoint.secrets] == ["new"]


def test_an_overlap_is_never_made_longer_and_secrets_stay_few() -> None:
    endpoint = make_endpoint().rotated("0", NOW, DAY).rotated("1", NOW, timedelta(hours=1)).rotated("2", NOW, DAY)
    assert [it.sealed for it in endpoint.signing(NOW + timedelta(hours=2))] == ["2", "1"]
    for number in range(10):
        endpoint = endpoint.rotated(str(number), NOW, DAY)
    assert len(endpoint.secrets) == MAX_SECRETS
