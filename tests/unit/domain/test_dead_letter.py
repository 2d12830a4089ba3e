"""Equal failures have equal fingerprints: names and numbers do not matter, words do."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from holdfast.domain.dead_letter import DeadLetter, DeadReason
from ledger_world import NOW, make_letter

WORD = st.from_regex(r"[a-z]{2,9}(?:'[a-z])?", fullmatch=True)
NAME = st.text(st.characters(blacklist_characters="'\"", blacklist_categories=["Cs"]), max_size=12)
NUMBER = st.integers(0, 10**12).map(str) | st.decimals(0, 10**6, places=3).map(str)
PARTS = st.fixed_dictionaries(
    {
        "number": NUMBER,
        "id": st.uuids().map(str) | st.uuids().map(lambda it: str(it).upper()),
        "single": NAME.map(lambda name: f"'{name}'"),
        "double": NAME.map(lambda name: f'"{name}"'),
        "url": st.from_regex(r"https?://[a-z0-9.-]{1,20}(?::[0-9]{1,5})?/[a-z0-9/?=&%-]{0,20}", fullmatch=True),
    }
)
WORDS = st.lists(WORD, min_size=1, max_size=6)


def letter(**changes: Any) -> DeadLetter:
    return make_letter(**{"kind": "test.echo"} | changes)


def fingerprint(message: str) -> str:
    return letter(message=message).fingerprint


def sentence(words: list[str], parts: dict[str, str]) -> str:
    filled = [*words, parts["number"], *words, parts["id"], parts["single"], parts["double"], *words, parts["url"]]
    return " ".join(filled)


@given(WORDS, PARTS, PARTS)
def test_numbers_ids_addresses_and_quoted_names_do_not_matter(
    words: list[str], one: dict[str, str], other: dict[str, str]
) -> None:
    assert fingerprint(sentence(words, one)) == fingerprint(sentence(words, other))


@given(WORDS, WORDS, PARTS)
def test_words_do(one: list[str], other: list[str], parts: dict[str, str]) -> None:
    assume(one != other)
    assert fingerprint(sentence(one, parts)) != fingerprint(sentence(other, parts))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("it didn't answer, so it can't go on", "it didn't accept it, so it can't go on"),
        ("the receiver's answer was its clients' fault", "the receiver's fault was its clients' fault"),
        ("no digits", "no digits 1"),
    ],
)
def test_apostrophes_quote_nothing(one: str, other: str) -> None:
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("10.0.0.1:443 refused", "192.168.17.250:80 refused"),
        ("after 0.5 s", "after 30 s"),
        ("status 500", "status 503"),
        ("('red')", "('')"),
        ("artifact 'a.txt', of 'x'", "artifact 'b', of 'y'"),
    ],
)
def test_what_varies_may_stand_anywhere(one: str, other: str) -> None:
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize(
    "change", [{"kind": "test.other"}, {"kind": None}, {"reason": DeadReason.EXPIRED}, {"error": "Status503"}], ids=str
)
def test_kind_reason_and_error_are_part_of_it(change: dict[str, Any]) -> None:
    assert letter(**change).fingerprint != letter().fingerprint


def test_whose_letter_it_is_and_when_it_died_are_not() -> None:
    later = {"tenant": "other", "attempts": 9, "headers": {}, "body": b"", "died_at": NOW + timedelta(days=1)}
    settled = replace(letter(**later), replayed_at=NOW, dropped_at=NOW, dropped_by="ann", drop_reason="noise")
    assert settled.fingerprint == letter().fingerprint


@given(st.text(st.characters(), max_size=40), st.text(st.characters(), max_size=10))
def test_any_text_has_one_and_it_survives_what_the_archive_cannot_keep(message: str, error: str) -> None:
    made = letter(message=message, error=error)
    assert re.fullmatch(r"[0-9a-f]{16}", made.fingerprint)

    def kept(text: str) -> str:
        return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")

    assert letter(message=kept(message), error=kept(error)).fingerprint == made.fingerprint
