"""The commands about jobs. All of them speak to the api, like any other client."""

from __future__ import annotations

import mimetypes
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from holdfast.cli import show, values
from holdfast.cli.session import ExitCode, Json, Url, fail, say, session
from holdfast.domain.idempotency import MAX_KEY_LENGTH, valid_key
from holdfast.domain.job import JobState

if TYPE_CHECKING:
    from holdfast.client import Job

SUBMIT_SECONDS = 30.0
"""How long a submit is repeated: a restart of the api or of a proxy in front of it fits in."""
CALLBACK_SECRET = "HOLDFAST_CALLBACK_SECRET"  # noqa: S105 - the variable's name
JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("submit")(submit)
    app.command("get")(get)
    app.command("list")(list_jobs)
    app.command("cancel")(cancel)
    app.command("attempts")(attempts)
    app.command("download")(download)
    app.command("upload")(upload)
    app.command("kinds")(kinds)


def submit(
    kind: Annotated[str, typer.Argument(help="The kind of job, such as pdf.render; `holdfast kinds` lists them.")],
    payload: Annotated[str, typer.Argument(help="A JSON object, @FILE that holds one, or - for stdin.")] = "{}",
    key: Annotated[
        str | None, typer.Option(help="Idempotency-Key: the same key is the same job. A new UUID if none.")
    ] = None,
    priority: Annotated[str | None, typer.Option(help="high, default, low, or 0 to 31 (higher first).")] = None,
    delay: Annotated[str | None, typer.Option(help="Do not start for so long: 90s, 30m, 2h, 3d.")] = None,
    run_at: Annotated[str | None, typer.Option(help="Do not start before this time (RFC 3339).")] = None,
    deadline: Annotated[str | None, typer.Option(help="Give up unless started by this time (RFC 3339).")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag to find the job by; may be given several times.")] = None,
    callback_url: Annotated[
        str | None, typer.Option(help="Gets a webhook job.succeeded or job.dead when the job ends.")
    ] = None,
    callback_secret: Annotated[
        str | None,
        typer.Option(help=f"Signs the callback (whsec_…); {CALLBACK_SECRET} keeps it out of the shell."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the end, and exit with 1 unless it succeeded.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0, help="With --wait: seconds until exit code 5.")] = 300.0,
    json: Json = False,
    url: Url = None,
) -> None:
    """Submit a job and print its id.

    The request is repeated with the same key when the api does not answer, so the job exists once or not at all.
    """
    if delay and run_at:
        raise typer.BadParameter("say either --delay or --run-at, not both")
    if callback_secret and not callback_url:
        raise typer.BadParameter("it signs a callback, so say --callback-url too", param_hint="--callback-secret")
    key = key or str(uuid4())
    if not valid_key(key):
        raise typer.BadParameter(
            f"a key is 1 to {MAX_KEY_LENGTH} visible ASCII characters without spaces", param_hint="--key"
        )
    content = values.payload(payload)
    again = f"The job may have been accepted: the same command with `--key {key}` makes sure of it, once."
    with session(url, seconds=SUBMIT_SECONDS, on_silence=again) as client:
        job = client.submit(
            kind,
            content,
            key=key,
            priority=values.priority(priority) if priority else None,
            delay=values.duration(delay).total_seconds() if delay else None,
            run_at=values.moment(run_at) if run_at else None,
            deadline=values.moment(deadline) if deadline else None,
            tags=tag or (),
            callback_url=callback_url,
            callback_secret=(callback_secret or os.environ.get(CALLBACK_SECRET)) if callback_url else None,
        )
    known = " (this key had its job already)" if job.replayed else ""
    if not wait:
        say(f"{job.state}{known}; `holdfast watch {job.id}` follows it")
        show.emit_json(job) if json else typer.echo(job.id)
        return
    say(f"{job.id} is {job.state}{known}; waiting for its end, at most {timeout:g} s")
    with session(url) as client:
        job = client.wait(job.id, timeout)
    _print_job(job, json)
    if not job.succeeded:
        raise typer.Exit(ExitCode.JOB_FAILED)


def get(job_id: JobId, json: Json = False, url: Url = None) -> None:
    """Show one job: its state, times, result, failure and artifacts."""
    with session(url) as client:
        _print_job(client.get(job_id), json)


def list_jobs(
    state: Annotated[JobState | None, typer.Option(help="Only jobs in this state.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only jobs of this kind.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only jobs with this tag.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    json: Json = False,
    url: Url = None,
) -> None:
    """List jobs, newest first."""
    with session(url) as client:
        jobs = client.jobs(state=state.value if state else None, kind=kind, tag=tag, limit=limit)
        if json:
            for job in jobs:
                show.emit_json(job)
            return
        found = list(jobs)
    show.console().print(show.jobs_table(found))
    say(f"{len(found)} jobs" + (f"; --limit {limit} may hide older ones" if len(found) == limit else ""))


def cancel(
    job_id: JobId,
    reason: Annotated[str | None, typer.Option(help="Why; kept in the audit trail when an operator cancels.")] = None,
    json: Json = False,
    url: Url = None,
) -> None:
    """Cancel a job that has not ended. Exit code 3 when it succeeded or died.

    A running attempt is ended within seconds; its effect may have happened.
    """
    with session(url) as client:
        job = client.cancel(job_id, reason=reason)
    say(f"{job.id} is {job.state}")
    if json:
        show.emit_json(job)


def attempts(job_id: JobId, json: Json = False, url: Url = None) -> None:
    """Show the attempts of a job: who ran each, and how it ended."""
    with session(url) as client:
        found = client.attempts(job_id)
    show.emit_json(*found) if json else show.console().print(show.attempts_table(found))


def download(
    job_id: JobId,
    names: Annotated[list[str] | None, typer.Argument(help="Artifacts; all of the job's if none.")] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Directory to write to; - writes one artifact to stdout.")
    ] = Path(),
    url: Url = None,
) -> None:
    """Download the artifacts of a job, checked against their digests."""
    with session(url) as client:
        job = client.get(job_id)
        wanted = names or [link.name for link in job.artifacts]
        if not wanted:
            fail(
                ExitCode.REFUSED,
                f"job {job.id} has no artifacts",
                f"It is {job.state}; `holdfast get {job.id}` tells more.",
            )
        if str(out) == "-":
            if len(wanted) != 1:
                raise typer.BadParameter(
                    f"stdout takes one artifact; name one of: {', '.join(wanted)}", param_hint="--out"
                )
            sys.stdout.buffer.write(client.download(job, wanted[0]))
            return
        for name in wanted:
            data = client.download(job, name)
            path = out / Path(name).name  # an artifact's name must not lead out of the directory
            try:
                out.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            except OSError as error:
                fail(ExitCode.USAGE, f"cannot write {path}: {error.strerror}", "Choose another directory with --out.")
            say(f"{show.size(len(data))} {name}")
            typer.echo(path)


def upload(
    file: Annotated[Path, typer.Argument(help="The file to upload, or - for stdin.", allow_dash=True)],
    media_type: Annotated[
        str | None, typer.Option("--type", help="Its media type; guessed from the name if none.")
    ] = None,
    json: Json = False,
    url: Url = None,
) -> None:
    """Upload a source and print its id, for use as `{"upload": ID}` in a payload."""
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"cannot read {file}: {error.strerror}") from error
    guessed = media_type or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    with session(url) as client:
        stored = client.upload(data, guessed)
    say(f"{show.size(stored.size)} stored as {stored.media_type}")
    show.emit_json(stored) if json else typer.echo(stored.id)


def kinds(json: Json = False, url: Url = None) -> None:
    """List the kinds of jobs that the api accepts. With --json, each with the JSON Schema of its payload."""
    with session(url) as client:
        found = client.kinds()
    show.emit_json(*found) if json else show.console().print(show.kinds_table(found))


def _print_job(job: Job, json: bool) -> None:
    show.emit_json(job) if json else show.console().print(show.job_details(job))
