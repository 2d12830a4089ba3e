"""What makes two requests the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from holdfast.domain.idempotency import MAX_KEY_LENGTH, differences, fingerprint, valid_key
from ledger_world import NOW, make_request

NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=3), JSON, max_size=4)


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return [reordered(item) for item in value]
    return value


@given(OBJECTS)
def test_the_order_of_keys_makes_no_other_request(request: dict[str, Any]) -> None:
    assert fingerprint(request) == fingerprint(reordered(request))
    assert len(fingerprint(request)) == 32


@given(OBJECTS, st.text(max_size=3), JSON)
def test_every_field_counts(request: dict[str, Any], field: str, value: Any) -> None:
    changed = {**request, field: value}
    assume(field not in request)
    assert fingerprint(changed) != fingerprint(request)
    assert len(list(differences(request, changed))) == 1 or value == {}


@given(OBJECTS, OBJECTS)
def test_requests_differ_in_some_field_exactly_when_their_fingerprints_do(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert (fingerprint(one) != fingerprint(other)) == bool(list(differences(one, other)))


@pytest.mark.parametrize("value", [1, 1.0, True, "1", None, [1], {"a": 1}])
def test_values_that_python_takes_for_equal_are_told_apart(value: object) -> None:
    others = [other for other in (1, 1.0, True, "1", None, [1], {"a": 1}) if repr(other) != repr(value)]
    for other in others:
        assert fingerprint({"x": value}) != fingerprint({"x": other})
        assert list(differences({"x": value}, {"x": other})) == ["/x"]


def test_a_field_that_is_null_is_not_a_field_that_is_missing() -> None:
    assert list(differences({"x": None}, {})) == ["/x"]


def test_differences_are_json_pointers_to_the_innermost_field() -> None:
    one = {"a": {"b": {"c": 1, "d": 2}}, "list": [1, 2], "same": 0}
    other = {"a": {"b": {"c": 9, "d": 2}}, "list": [1, 3], "same": 0, "new": 1}
    assert list(differences(one, other)) == ["/a/b/c", "/list", "/new"]


def test_differences_escape_as_rfc_6901_says() -> None:
    assert list(differences({"a/b": 1, "c~d": 1}, {})) == ["/a~1b", "/c~0d"]


def test_differences_never_tell_a_value() -> None:
    told = "".join(differences({"password": "hunter2"}, {"password": "hunter3"}))
    assert "hunter" not in told


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=MAX_KEY_LENGTH))
def test_visible_ascii_of_up_to_255_characters_is_a_key(key: str) -> None:
    assert valid_key(key)


@pytest.mark.parametrize("key", ["", "a b", "a\n", "\n", "a\x00", "é", "a" * 256, "\x7f", "\t"])
def test_anything_else_is_not_a_key(key: str) -> None:
    assert not valid_key(key)


def test_a_request_has_the_same_fingerprint_at_any_time_in_any_process() -> None:
    """Fields that the client left unset never count, or each new optional field would change the fingerprint of every
    request: a retry across an upgrade of the api would then meet its own key as another request's (422).
    """
    made = make_request(key="k", delay=timedelta(seconds=5), tags=("a", "b"))
    frozen = "a80afbc80c7bd873a99f0e1958f04b46200bc13efb0671d4e30b5a519ab19af5"
    assert made.fingerprint().hex() == frozen, "keys that are in the ledger would mismatch after an upgrade"
    assert made.job(NEW_ID, "image", NOW).fingerprint == made.job(NEW_ID, "pdf", NOW + timedelta(days=1)).fingerprint


NEW_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
CHANGES: list[Callable[[], dict[str, Any]]] = [
    lambda: {"kind": "test.other"},
    lambda: {"payload": {"say": "bye"}},
    lambda: {"priority": 13},
    lambda: {"delay": timedelta(seconds=5)},
    lambda: {"run_at": NOW},
    lambda: {"deadline": NOW},
    lambda: {"tags": ("a",)},
    lambda: {"callback_url": "https://a.example/x"},
    lambda: {"callback_url": "https://a.example/x", "callback_secret": "whsec_x"},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change())))
def test_each_field_that_the_client_chose_is_part_of_the_request(change: Callable[[], dict[str, Any]]) -> None:
    assert make_request(**change()).fingerprint() != make_request().fingerprint()


@pytest.mark.parametrize("change", [{"key": "another"}, {"traceparent": "00-a-b-01"}, {"tenant": "other"}], ids=str)
def test_what_the_key_and_the_server_add_is_no_part_of_the_request(change: dict[str, Any]) -> None:
    assert make_request(**change).fingerprint() == make_request().fingerprint()


LATER = datetime(2027, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"kind": "test.other"}, ["/kind"]),
        ({"payload": {"say": "bye"}}, ["/payload/say"]),
        ({"priority": 1, "tags": ("z",)}, ["/priority", "/tags"]),
        ({"deadline": LATER}, ["/deadline"]),
        ({"callback_url": "https://a.example/x"}, ["/callback_url"]),
        ({"delay": timedelta(seconds=9)}, ["/delay", "/run_at"]),
    ],
    ids=str,
)
def test_a_mismatch_names_the_fields_that_differ(change: dict[str, Any], pointers: list[str]) -> None:
    job = make_request(key="k").job(NEW_ID, "image", NOW)
    assert make_request(key="k", **change).differs_from(job) == pointers
