"""Following jobs to their end: a live table on a terminal, a line for each change anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import show
from holdfast.cli.session import ExitCode, Json, Url, fail, session

if TYPE_CHECKING:
    from holdfast.client import Holdfast, Job

INTERVAL = 0.5
"""Seconds between two looks at the jobs. A look at a job costs the api one read by primary key."""
Sink = Callable[[Sequence["Job"]], None]


def register(app: typer.Typer) -> None:
    """Add `watch`."""
    app.command("watch")(watch)


def watch(
    ids: Annotated[
        list[str] | None, typer.Argument(help="Jobs to follow to their end; the newest jobs if none.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Without ids: how many of the newest jobs.")] = 20,
    timeout: Annotated[float | None, typer.Option(min=0, help="Stop after so many seconds (exit code 5).")] = None,
    json: Json = False,
    url: Url = None,
) -> None:
    """Follow jobs until all have ended, or the newest jobs until interrupted.

    On a terminal this is a live table; elsewhere each change is a line, and with --json the job as one JSON object.
    Exit code 1 when a job ended dead or cancelled, 5 when --timeout passed first (without ids that is the normal end).
    """
    with session(url) as client:
        jobs = _follow(_looker(client, ids or [], limit), _until_ended if ids else _for_ever, json, timeout)
    if ids and not all(job.ended for job in jobs):
        left = [job.id for job in jobs if not job.ended]
        fail(ExitCode.TIMED_OUT, f"{len(left)} of {len(jobs)} jobs have not ended: {' '.join(left)}", "They go on.")
    if ids and not all(job.succeeded for job in jobs):
        raise typer.Exit(ExitCode.JOB_FAILED)


def _follow(
    look: Callable[[], Sequence[Job]], over: Callable[[Sequence[Job]], bool], json: bool, timeout: float | None
) -> Sequence[Job]:
    """Look until it is over or the time is up; return how the jobs stood at last."""
    until = None if timeout is None else time.monotonic() + timeout
    console = show.console()
    if console.is_terminal and not json:
        from rich.live import Live

        with Live(console=console, auto_refresh=False) as live:
            return _loop(look, over, lambda jobs: live.update(show.jobs_table(jobs), refresh=True), until)
    return _loop(look, over, _changes(_print_json if json else _print_line), until)


def _loop(
    look: Callable[[], Sequence[Job]], over: Callable[[Sequence[Job]], bool], sink: Sink, until: float | None
) -> Sequence[Job]:
    while True:
        jobs = look()
        sink(jobs)
        if over(jobs) or (until is not None and time.monotonic() >= until):
            return jobs
        time.sleep(INTERVAL if until is None else max(0.0, min(INTERVAL, until - time.monotonic())))


def _looker(client: Holdfast, ids: Sequence[str], limit: int) -> Callable[[], Sequence[Job]]:
    """Read the named jobs (those that have ended only once), or the newest ones, oldest first."""
    ended: dict[str, Job] = {}

    def named() -> Sequence[Job]:
        jobs = [ended.get(job_id) or client.get(job_id) for job_id in dict.fromkeys(ids)]
        ended.update((job.id, job) for job in jobs if job.ended)
        return jobs

    def newest() -> Sequence[Job]:
        return list(client.jobs(limit=limit))[::-1]

    return named if ids else newest


def _changes(emit: Callable[[Job], None]) -> Sink:
    """Pass on only the jobs whose state or attempt is another than last time."""
    seen: dict[str, tuple[str, int]] = {}

    def sink(jobs: Iterable[Job]) -> None:
        for job in jobs:
            stands = (job.state, job.attempt)
            if seen.get(job.id) != stands:
                seen[job.id] = stands
                emit(job)

    return sink


def _print_line(job: Job) -> None:
    failure = show.plain(f": {job.failure.error}: {job.failure.message}") if job.failure else ""
    ran = f" in {show.seconds(job.run_seconds)}" if job.ended and job.run_seconds is not None else ""
    now = time.strftime("%H:%M:%S", time.gmtime())
    typer.echo(f"{now}Z {job.id} {job.kind} {job.state} (attempt {show.attempts_of(job)}){ran}{failure}")


def _print_json(job: Job) -> None:
    show.emit_json(job)


def _until_ended(jobs: Sequence[Job]) -> bool:
    return all(job.ended for job in jobs)


def _for_ever(_: Sequence[Job]) -> bool:
    return False
