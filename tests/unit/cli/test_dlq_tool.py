"""`dlq-tool`: filters, and no change in bulk without a yes."""

from __future__ import annotations

import json

import pytest
from fake_holdfast_api import Cli, FakeApi

from holdfast.cli import dlq


@pytest.fixture
def letters(api: FakeApi) -> list[str]:
    return [
        api.add_letter(died_at="2026-05-01T12:00:00Z")["id"],
        api.add_letter(died_at="2026-05-02T12:00:00Z", reason="rejected", error="HTTP410")["id"],
        api.add_letter(
            died_at="2026-05-03T12:00:00Z",
            kind="pdf.render",
            reason="poisoned",
            error="Crash",
            fingerprint="baddecafbaddecaf",
        )["id"],
    ]


def replayed(api: FakeApi) -> list[str]:
    return [it["id"] for it in api.letters.values() if it["replayed_at"]]


def dropped(api: FakeApi) -> list[str]:
    return [it["id"] for it in api.letters.values() if it["dropped_at"]]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], [0, 1, 2]),
        (["--kind", "pdf.render"], [2]),
        (["--reason", "rejected"], [1]),
        (["--error", "CONNECT"], [0]),
        (["--fingerprint", "baddecafbaddecaf"], [2]),
        (["--since", "2026-05-02T00:00:00Z"], [1, 2]),
        (["--until", "2026-05-02T00:00:00Z"], [0]),
        (["--since", "2026-05-02T00:00:00Z", "--until", "2026-05-03T00:00:00+00:00"], [1]),
    ],
)
def test_list_filters(api: FakeApi, dlq_tool: Cli, letters: list[str], filters: list[str], expected: list[int]) -> None:
    result = dlq_tool("list", "--json", *filters)
    assert result.exit_code == 0
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == [letters[index] for index in expected]


def test_list_is_a_table_for_people(api: FakeApi, dlq_tool: Cli, letters: list[str]) -> None:
    result = dlq_tool("list")
    assert all(letter in result.stdout for letter in letters)
    assert "3 dead letters" in result.stderr


def test_groups_are_a_table_for_people_and_lines_for_programs(api: FakeApi, dlq_tool: Cli, letters: list[str]) -> None:
    table = dlq_tool("groups")
    assert table.exit_code == 0
    first, second = (line.split() for line in table.stdout.splitlines() if "c0ffee" in line or "decaf" in line)
    assert first[:4] == ["00c0ffee00c0ffee", "2", "webhook.dispatch", "rejected"]
    assert second[:4] == ["baddecafbaddecaf", "1", "pdf.render", "poisoned"]
    assert "3 dead letters in 2 groups" in table.stderr
    [line] = dlq_tool("groups", "--json", "--limit", "1").stdout.splitlines()
    assert json.loads(line) == {
        "fingerprint": "00c0ffee00c0ffee",
        "kind": "webhook.dispatch",
        "reason": "rejected",
        "error": "HTTP410",
        "message": "the receiver did not answer",
        "count": 2,
        "first_seen": "2026-05-01T12:00:00Z",
        "last_seen": "2026-05-02T12:00:00Z",
    }


@pytest.mark.parametrize("filters", [["--kind", "pdf.render"], ["--since", "2026-05-03T00:00:00Z"]])
def test_groups_take_the_filters_of_the_list(
    api: FakeApi, dlq_tool: Cli, letters: list[str], filters: list[str]
) -> None:
    [line] = dlq_tool("groups", "--json", *filters).stdout.splitlines()
    assert (json.loads(line)["fingerprint"], json.loads(line)["count"]) == ("baddecafbaddecaf", 1)


@pytest.mark.parametrize("command", [["replay"], ["drop", "--why", "known"]])
def test_a_group_can_be_replayed_or_dropped(
    api: FakeApi, dlq_tool: Cli, letters: list[str], command: list[str]
) -> None:
    assert dlq_tool(*command, "--fingerprint", "baddecafbaddecaf", "--yes").exit_code == 0
    assert replayed(api) + dropped(api) == letters[2:]


@pytest.mark.parametrize("wrong", [["--reason", "bored"], ["--since", "yesterday"], ["--until", "5x"]])
def test_a_wrong_filter_is_2(api: FakeApi, dlq_tool: Cli, wrong: list[str]) -> None:
    assert dlq_tool("list", *wrong).exit_code == 2


def test_show_has_the_headers_and_the_body(api: FakeApi, dlq_tool: Cli, letters: list[str]) -> None:
    result = dlq_tool("show", letters[0])
    assert "x-death" in result.stdout
    assert "the receiver did not answer" in result.stdout
    assert dlq_tool("show", "nothing").exit_code == 3


def test_named_letters_are_replayed_without_a_question(api: FakeApi, dlq_tool: Cli, letters: list[str]) -> None:
    result = dlq_tool("replay", letters[0], letters[1], "--priority", "low", "--json")
    assert result.exit_code == 0
    assert replayed(api) == letters[:2]
    assert [json.loads(line)["state"] for line in result.stdout.splitlines()] == ["queued", "queued"]
    assert api.requests[0][2] == {"priority": "low"}


@pytest.mark.parametrize("command", [["replay"], ["drop", "--why", "old"]])
def test_which_letters_are_meant_must_be_clear(
    api: FakeApi, dlq_tool: Cli, letters: list[str], command: list[str]
) -> None:
    assert dlq_tool(*command, "--yes").exit_code == 2
    assert dlq_tool(*command, letters[0], "--kind", "pdf.render", "--yes").exit_code == 2
    assert dlq_tool(*command, "--all", "--kind", "pdf.render", "--yes").exit_code == 2
    assert not replayed(api) + dropped(api)


@pytest.mark.parametrize("command", [["replay", "--all"], ["drop", "--all", "--why", "old"]])
def test_nobody_to_ask_means_no(api: FakeApi, dlq_tool: Cli, letters: list[str], command: list[str]) -> None:
    result = dlq_tool(*command)
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert not replayed(api) + dropped(api)


@pytest.mark.parametrize("command", [["replay", "--all"], ["drop", "--all", "--why", "old"]])
def test_a_no_changes_nothing(
    api: FakeApi, dlq_tool: Cli, letters: list[str], command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dlq, "_asks", lambda: True)
    result = dlq_tool(*command, input="n\n")
    assert result.exit_code == 0
    assert "3 dead letters" in result.stderr
    assert not replayed(api) + dropped(api)
    assert dlq_tool(*command, input="y\n").exit_code == 0
    assert replayed(api) + dropped(api) == letters


@pytest.mark.parametrize("command", [["replay", "--all"], ["drop", "--all"]])
def test_a_dry_run_changes_nothing(api: FakeApi, dlq_tool: Cli, letters: list[str], command: list[str]) -> None:
    result = dlq_tool(*command, "--dry-run")
    assert result.exit_code == 0
    assert "3 dead letters" in result.stderr
    assert not replayed(api) + dropped(api)


def test_a_bulk_replay_goes_in_chunks_up_to_its_limit(
    api: FakeApi, dlq_tool: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dlq, "CHUNK", 4)
    for _ in range(12):
        api.add_letter()
    result = dlq_tool("replay", "--kind", "webhook.dispatch", "--limit", "10", "--yes", "--json")
    assert result.exit_code == 0
    assert len(replayed(api)) == 10
    assert json.loads(result.stdout) | {"dry_run": False} == {
        "matched": 10,
        "replayed": 10,
        "skipped": 0,
        "dry_run": False,
    }
    assert [request[2].get("limit") for request in api.requests] == [10, 4, 4, 2]


def test_a_bulk_replay_leaves_alone_what_dies_after_it_began(api: FakeApi, dlq_tool: Cli, letters: list[str]) -> None:
    late = api.add_letter(died_at="2999-01-01T00:00:00Z")["id"]
    assert dlq_tool("replay", "--all", "--yes").exit_code == 0
    assert replayed(api) == letters
    assert late not in replayed(api)


def test_what_someone_else_replays_meanwhile_is_left_and_said(api: FakeApi, dlq_tool: Cli, letters: list[str]) -> None:
    api.snatched = {letters[1]}
    result = dlq_tool("replay", "--all", "--yes", "--json")
    assert result.exit_code == 0
    total = json.loads(result.stdout)
    assert (total["matched"], total["replayed"], total["skipped"]) == (3, 2, 1)
    assert "1 were left" in result.stderr


def test_letters_that_cannot_be_replayed_are_neither_counted_nor_asked_about(api: FakeApi, dlq_tool: Cli) -> None:
    api.add_letter(job_id=None, reason="unparseable")
    result = dlq_tool("replay", "--all", "--yes")
    assert result.exit_code == 0
    assert "no dead letter fits that can be replayed" in result.stderr
    assert len(api.requests) == 1


def test_the_rate_is_handed_on_and_kept(api: FakeApi, dlq_tool: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("holdfast.cli.dlq.time.sleep", slept.append)
    for _ in range(3):
        api.add_letter()
    assert dlq_tool("replay", "--all", "--rate", "0.1", "--yes").exit_code == 0
    assert {request[2].get("rate") for request in api.requests[1:]} == {0.1}
    assert [round(seconds, -1) for seconds in slept] == [0, 10, 20]


def test_a_drop_needs_a_reason_and_keeps_it(api: FakeApi, dlq_tool: Cli, letters: list[str]) -> None:
    assert dlq_tool("drop", letters[0]).exit_code == 2
    assert dlq_tool("drop", "--reason", "poisoned", "--why", "a known bad file", "--yes").exit_code == 0
    assert dropped(api) == letters[2:]
    assert api.letters[letters[2]]["drop_reason"] == "a known bad file"


def test_a_letter_that_is_gone_is_3_when_named_and_skipped_in_bulk(
    api: FakeApi, dlq_tool: Cli, letters: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dlq_tool("drop", "nothing", "--why", "x").exit_code == 3
    assert dlq_tool("replay", "nothing").exit_code == 3
