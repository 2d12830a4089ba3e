"""`holdfast` about jobs: what goes to stdout, and the exit code that a script sees."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fake_holdfast_api import Cli, FakeApi, problem

CLOSED = "http://127.0.0.1:9"


def test_submit_prints_the_id_alone_on_stdout(api: FakeApi, holdfast: Cli) -> None:
    result = holdfast("submit", "pdf.render", '{"html": "<p>"}', "--tag", "a", "--tag", "b", "--priority", "high")
    assert result.exit_code == 0
    assert result.stdout.strip() in api.jobs
    assert api.requests[0][2] == {
        "kind": "pdf.render",
        "payload": {"html": "<p>"},
        "priority": "high",
        "tags": ["a", "b"],
    }


def test_the_payload_may_come_from_a_file_or_from_stdin(api: FakeApi, holdfast: Cli, tmp_path: Path) -> None:
    (tmp_path / "payload.json").write_text('{"from": "file"}')
    assert holdfast("submit", "pdf.render", f"@{tmp_path / 'payload.json'}").exit_code == 0
    assert holdfast("submit", "pdf.render", "-", input='{"from": "stdin"}').exit_code == 0
    assert [request[2]["payload"] for request in api.requests] == [{"from": "file"}, {"from": "stdin"}]


@pytest.mark.parametrize("source", ["option", "environment"])
def test_a_callback_is_signed_with_the_secret_of_the_option_or_the_environment(
    api: FakeApi, holdfast: Cli, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setenv("HOLDFAST_CALLBACK_SECRET", "from the environment")
    more = ["--callback-secret", "from the option"] if source == "option" else []
    result = holdfast("submit", "pdf.render", "--callback-url", "https://a.example/x", *more)
    assert result.exit_code == 0
    sent = api.requests[0][2]
    assert (sent["callback_url"], sent["callback_secret"]) == ("https://a.example/x", f"from the {source}")
    assert "https://a.example/x" in holdfast("get", result.stdout.strip()).stdout


def test_a_job_without_a_callback_is_not_told_the_secret_of_the_environment(
    api: FakeApi, holdfast: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_CALLBACK_SECRET", "whsec_x")
    assert holdfast("submit", "pdf.render").exit_code == 0
    assert api.requests[0][2] == {"kind": "pdf.render", "payload": {}}


@pytest.mark.parametrize(
    "arguments",
    [
        ["{not json"],
        ["[1]"],
        ["@/no/such/file"],
        ["{}", "--priority", "32"],
        ["{}", "--priority", "urgent"],
        ["{}", "--delay", "soon"],
        ["{}", "--run-at", "tomorrow"],
        ["{}", "--delay", "2h", "--run-at", "2026-05-01T12:00:00Z"],
        ["{}", "--key", "with space"],
        ["{}", "--callback-secret", "whsec_x"],
        ["{}", "--colour", "red"],
    ],
)
def test_wrong_usage_is_2_and_nothing_is_sent(api: FakeApi, holdfast: Cli, arguments: list[str]) -> None:
    result = holdfast("submit", "pdf.render", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert not api.requests


def test_the_same_key_is_the_same_job(api: FakeApi, holdfast: Cli) -> None:
    first = holdfast("submit", "pdf.render", "--key", "invoice-1")
    second = holdfast("submit", "pdf.render", "--key", "invoice-1")
    assert first.stdout == second.stdout
    assert "already" in second.stderr
    assert len(api.jobs) == 1


def test_a_submit_that_meets_a_busy_api_goes_through_once(api: FakeApi, holdfast: Cli) -> None:
    api.refuse = [(503, {"title": "Busy", "status": 503}, {"Retry-After": "0"})] * 2
    result = holdfast("submit", "pdf.render")
    assert result.exit_code == 0
    assert len(api.requests) == 3
    assert "again" in result.stderr


@pytest.mark.parametrize(("ending", "code"), [("succeeded", 0), ("dead", 1), ("cancelled", 1)])
def test_submit_and_wait_exits_by_how_the_job_ended(api: FakeApi, holdfast: Cli, ending: str, code: int) -> None:
    api.path = ["queued", "running", ending]
    result = holdfast("submit", "pdf.render", "--wait", "--json")
    assert result.exit_code == code
    assert json.loads(result.stdout)["state"] == ending


def test_submit_and_wait_times_out_with_5(api: FakeApi, holdfast: Cli) -> None:
    api.path = ["queued"]
    result = holdfast("submit", "pdf.render", "--wait", "--timeout", "0.05")
    assert result.exit_code == 5
    assert "holdfast watch" in result.stderr


def test_a_refusal_is_3_and_names_the_fields(api: FakeApi, holdfast: Cli) -> None:
    result = holdfast("submit", "image.paint")
    assert result.exit_code == 3
    assert "/kind: no handler; known kinds: pdf.render" in result.stderr
    assert result.stdout == ""


def test_a_missing_key_says_where_to_put_it(api: FakeApi, holdfast: Cli) -> None:
    api.refuse = [problem(401, "Unauthorized", "no key")]
    result = holdfast("list")
    assert result.exit_code == 3
    assert "HOLDFAST_API_KEY" in result.stderr


def test_a_failing_api_is_4(api: FakeApi, holdfast: Cli) -> None:
    api.refuse = [problem(500, "Internal error", None)]
    assert holdfast("list").exit_code == 4


def test_an_api_that_does_not_answer_is_4_and_says_how_to_be_sure(
    holdfast: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.cli.jobs.SUBMIT_SECONDS", 0.1)
    result = holdfast("submit", "pdf.render", "--key", "invoice-1", "--url", CLOSED)
    assert result.exit_code == 4
    assert CLOSED in result.stderr
    assert "--key invoice-1" in result.stderr


def test_wrong_settings_are_named(holdfast: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_API_PORT", "many")
    result = holdfast("list")
    assert result.exit_code == 2
    assert "HOLDFAST_API_PORT" in result.stderr


def test_get_shows_a_job_or_says_that_there_is_none(api: FakeApi, holdfast: Cli) -> None:
    job = api.add_job(state="dead", failure={"reason": "rejected", "error": "BadHtml", "message": "it is wrong"})
    shown = holdfast("get", job["id"])
    assert shown.exit_code == 0
    assert "rejected: BadHtml: it is wrong" in shown.stdout
    assert json.loads(holdfast("get", job["id"], "--json").stdout)["id"] == job["id"]
    assert holdfast("get", "nothing").exit_code == 3


def test_list_filters_and_prints_one_object_a_line(api: FakeApi, holdfast: Cli) -> None:
    ids = [api.add_job(state="dead")["id"] for _ in range(3)]
    api.add_job(state="queued")
    lines = holdfast("list", "--state", "dead", "--limit", "2", "--json").stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ids[:0:-1]
    table = holdfast("list", "--state", "dead")
    assert all(job_id in table.stdout for job_id in ids)
    assert holdfast("list", "--state", "lost").exit_code == 2


def test_text_from_a_job_is_neither_markup_nor_a_command_to_the_terminal(api: FakeApi, holdfast: Cli) -> None:
    failure = {"reason": "rejected", "error": "Bad", "message": "expected [bold] \x1b]0;owned\x07 \x9b2J"}
    job = api.add_job(state="dead", tags=["[red]", "[/x]"], failure=failure)
    assert "[red] [/x]" in holdfast("list").stdout
    shown = holdfast("get", job["id"]).stdout
    assert "expected [bold]" in shown
    assert not {"\x1b", "\x07", "\x9b"} & set(shown)


@pytest.mark.parametrize(
    ("state", "code"), [("queued", 0), ("running", 0), ("cancelled", 0), ("succeeded", 3), ("dead", 3)]
)
def test_cancel_is_3_when_it_is_too_late(api: FakeApi, holdfast: Cli, state: str, code: int) -> None:
    assert holdfast("cancel", api.add_job(state=state)["id"]).exit_code == code


def test_attempts_and_kinds_are_tables(api: FakeApi, holdfast: Cli) -> None:
    attempts = holdfast("attempts", api.add_job()["id"])
    assert "ConnectTimeout: no answer" in attempts.stdout
    assert "2.0 s" in attempts.stdout
    kinds = holdfast("kinds")
    assert "html*" in kinds.stdout
    assert json.loads(holdfast("kinds", "--json").stdout)["schema"]["required"] == ["html"]


def test_downloads_land_in_the_directory_whatever_the_artifact_is_called(
    api: FakeApi, holdfast: Cli, tmp_path: Path
) -> None:
    job = api.add_job(state="succeeded")
    api.add_file(job, "a.txt", b"one")
    api.add_file(job, "../../b.txt", b"two")
    result = holdfast("download", job["id"], "--out", str(tmp_path / "new"))
    assert result.exit_code == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()} == {"a.txt": b"one", "b.txt": b"two"}
    assert result.stdout.splitlines() == [str(tmp_path / "new" / name) for name in ("a.txt", "b.txt")]


def test_one_artifact_can_go_to_stdout(api: FakeApi, holdfast: Cli) -> None:
    job = api.add_job(state="succeeded")
    api.add_file(job, "a.txt", b"one")
    assert holdfast("download", job["id"], "a.txt", "--out", "-").stdout_bytes == b"one"
    api.add_file(job, "b.txt", b"two")
    assert holdfast("download", job["id"], "--out", "-").exit_code == 2


def test_a_job_without_artifacts_says_why(api: FakeApi, holdfast: Cli) -> None:
    result = holdfast("download", api.add_job(state="dead")["id"])
    assert result.exit_code == 3
    assert "it is dead" in result.stderr.lower()


def test_upload_guesses_the_type_and_prints_the_id(api: FakeApi, holdfast: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8")
    result = holdfast("upload", str(tmp_path / "a.jpg"), "--json")
    assert json.loads(result.stdout) | {"sha256": ""} == {
        "id": "u-1",
        "size": 2,
        "sha256": "",
        "media_type": "image/jpeg",
    }
    assert holdfast("upload", str(tmp_path / "none.jpg")).exit_code == 2


def test_watch_prints_a_line_for_each_change_and_exits_by_the_ending(api: FakeApi, holdfast: Cli) -> None:
    result = holdfast("watch", api.add_job()["id"], api.add_job()["id"])
    assert result.exit_code == 0
    states = [line.split()[3] for line in result.stdout.splitlines()]
    assert states == ["queued", "queued", "running", "running", "succeeded", "succeeded"]
    api.path = ["queued", "dead"]
    assert holdfast("watch", api.add_job()["id"]).exit_code == 1


def test_watch_times_out_with_5_on_named_jobs_and_ends_well_on_the_newest(api: FakeApi, holdfast: Cli) -> None:
    api.path = ["queued"]
    job = api.add_job()
    assert holdfast("watch", job["id"], "--timeout", "0.05").exit_code == 5
    newest = holdfast("watch", "--timeout", "0.05", "--json")
    assert newest.exit_code == 0
    assert [json.loads(line)["id"] for line in newest.stdout.splitlines()] == [job["id"]]


def test_an_interrupted_watch_ends_without_a_traceback(api: FakeApi) -> None:
    api.path = ["queued"]
    command = [sys.executable, "-m", "holdfast.cli.main", "watch", api.add_job()["id"]]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # A shell starts its background jobs with SIGINT ignored, and the tests may run in one.
    listen = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    with subprocess.Popen(command, text=True, **pipes, **listen) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in errors


def test_help_names_the_exit_codes_and_needs_nothing_heavy() -> None:
    heavy = ["celery", "sqlalchemy", "fastapi", "asyncpg", "kombu", "httpx", "pydantic"]
    check = f"import sys, holdfast.cli.main, holdfast.cli.dlq; print([name for name in {heavy} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
    command = [sys.executable, "-m", "holdfast.cli.main", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "200"})
    assert "5 timed out waiting" in shown.stdout


def test_a_bug_is_reported_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import typer

    from holdfast.cli.session import run

    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(lambda: 1 / 0)
    monkeypatch.setattr(sys, "argv", ["holdfast"])
    with pytest.raises(SystemExit) as caught:
        run(app)
    assert caught.value.code == 70
    assert "ZeroDivisionError" in capsys.readouterr().err
