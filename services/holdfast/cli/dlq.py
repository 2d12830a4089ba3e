"""The entry point of `dlq-tool`: look at dead letters, run them again, or put them aside for good.

Invariant: nothing is changed in bulk without a filter (or --all) and a yes. A bulk replay goes in small requests, so
that no proxy cuts it off and the rate holds; it only touches letters that were dead when it began, so a job that dies
again meanwhile is not replayed in circles.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import show, values
from holdfast.cli.session import CONNECTION, EXIT_CODES, ExitCode, Json, Url, fail, run, say, session
from holdfast.domain.dead_letter import DeadReason

if TYPE_CHECKING:
    from holdfast.client import BulkReplay, DeadLetterFilter, Holdfast

CHUNK_SECONDS = 10.0
"""How much of a bulk replay one request does, at the wanted rate."""
CHUNK = 500
"""Most letters in one request."""

app = typer.Typer(
    name="dlq-tool",
    help="Dead letters: jobs that failed for good, each with its reason. Filters by kind, reason, time, error text and "
    f"fingerprint (of a group of equal failures) apply to list, groups, replay and drop alike. {CONNECTION}",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Letters; or use the filters.")]
Kind = Annotated[str | None, typer.Option(help="Only letters of this kind of job.")]
Reason = Annotated[DeadReason | None, typer.Option(help="Only letters that died of this.")]
Error = Annotated[str | None, typer.Option(help="Only letters whose error or message contains this text.")]
Fingerprint = Annotated[
    str | None, typer.Option(help="Only letters of this group of equal failures; `groups` lists them.")
]
Since = Annotated[str | None, typer.Option(help="Died since: 2h, 30m, 3d ago, or a time (RFC 3339).")]
Until = Annotated[str | None, typer.Option(help="Died until: 2h, 30m, 3d ago, or a time (RFC 3339).")]
Everything = Annotated[bool, typer.Option("--all", help="All letters; needed when there is no filter.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Most = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many letters.")]


@app.command("list")
def list_letters(
    kind: Kind = None,
    reason: Reason = None,
    error: Error = None,
    fingerprint: Fingerprint = None,
    since: Since = None,
    until: Until = None,
    settled: Annotated[bool, typer.Option("--settled", help="Also those replayed or dropped already.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    json: Json = False,
    url: Url = None,
) -> None:
    """List dead letters, newest first."""
    only = _filter(kind, reason, error, fingerprint, since, until)
    with session(url) as client:
        letters = client.dead_letters(only, settled=settled, limit=limit)
        if json:
            for letter in letters:
                show.emit_json(letter)
            return
        found = list(letters)
    show.console().print(show.letters_table(found))
    say(f"{len(found)} dead letters" + (f"; --limit {limit} may hide older ones" if len(found) == limit else ""))


@app.command("groups")
def groups(
    kind: Kind = None,
    reason: Reason = None,
    error: Error = None,
    fingerprint: Fingerprint = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many groups.")] = 50,
    json: Json = False,
    url: Url = None,
) -> None:
    """Group equal failures, the most frequent first: what broke, how often, since when. Begin here."""
    with session(url) as client:
        found = client.dead_letter_groups(_filter(kind, reason, error, fingerprint, since, until), limit=limit)
    if json:
        show.emit_json(*found)
        return
    show.console().print(show.groups_table(found))
    total = sum(group.count for group in found)
    hidden = f"; --limit {limit} may hide rarer ones" if len(found) == limit else ""
    say(f"{total} dead letters in {len(found)} groups{hidden}")


@app.command("show")
def show_letter(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="The letter's id.")],
    json: Json = False,
    url: Url = None,
) -> None:
    """Show one dead letter: why it died, its headers and its body."""
    with session(url) as client:
        letter = client.dead_letter(letter_id)
    show.emit_json(letter) if json else show.console().print(show.letter_details(letter))


@app.command("replay")
def replay(
    ids: Ids = None,
    kind: Kind = None,
    reason: Reason = None,
    error: Error = None,
    fingerprint: Fingerprint = None,
    since: Since = None,
    until: Until = None,
    everything: Everything = False,
    limit: Most = None,
    rate: Annotated[float | None, typer.Option(min=0.01, help="At most so many a second.")] = None,
    priority: Annotated[
        str | None, typer.Option(help="In place of the jobs' own: high, default, low, or 0 to 31.")
    ] = None,
    why: Annotated[str | None, typer.Option(help="Why; kept in the audit trail.")] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
    url: Url = None,
) -> None:
    """Run dead jobs again, with their ids and keys and a fresh attempt budget: the named ones, or all that fit."""
    only = _filter(kind, reason, error, fingerprint, since, until)
    level = values.priority(priority) if priority else None
    with session(url) as client:
        if _choose(ids, only, everything):
            for letter_id in ids or ():
                if dry_run:
                    say(f"would replay {letter_id} ({_why(client, letter_id)})")
                    continue
                job = client.replay(letter_id, priority=level, reason=why)
                say(f"{letter_id} replayed: job {job.id} is {job.state}")
                if json:
                    show.emit_json(job)
            return
        only = only.model_copy(update={"until": only.until or datetime.now(UTC)})
        found = client.replay_all(only, dry_run=True, limit=limit)
        matched = found.matched
        if dry_run or not matched:
            say(f"would replay {matched} dead letters" if matched else "no dead letter fits that can be replayed")
            show.emit_json(found) if json else None
            return
        _confirm(f"Replay {matched} dead letters{f' at {rate:g} a second' if rate else ''}?", yes)
        total = _replay_all(client, only, _Pace(matched, rate), level, why)
    if json:
        show.emit_json(total)
    if total.replayed < total.matched:
        say(f"{total.skipped} were left: someone else replayed or dropped them meanwhile")


@app.command("drop")
def drop(
    ids: Ids = None,
    why: Annotated[str, typer.Option(help="Why they are dropped; kept on record with who did it.")] = "",
    kind: Kind = None,
    reason: Reason = None,
    error: Error = None,
    fingerprint: Fingerprint = None,
    since: Since = None,
    until: Until = None,
    everything: Everything = False,
    limit: Most = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
    url: Url = None,
) -> None:
    """Put dead letters aside for good: the named ones, or all that fit. All stays on record, with who and --why."""
    if not why.strip() and not dry_run:
        raise typer.BadParameter("say why they are dropped; it is kept on record", param_hint="--why")
    only = _filter(kind, reason, error, fingerprint, since, until)
    with session(url) as client:
        named = _choose(ids, only, everything)
        chosen = list(ids or ()) if named else [letter.id for letter in client.dead_letters(only, limit=limit)]
        if dry_run or not chosen:
            for letter_id in chosen:
                typer.echo(letter_id)
            say(f"would drop {len(chosen)} dead letters" if chosen else "no dead letter fits")
            return
        if not named:
            _confirm(f"Drop {len(chosen)} dead letters for good?", yes)
        dropped = sum(_drop_one(client, letter_id, why, json, forgiving=not named) for letter_id in _progress(chosen))
    say(f"{dropped} of {len(chosen)} dropped")


@dataclass(frozen=True, slots=True)
class _Pace:
    """How many letters in all, and how many a second (None: as fast as the api goes)."""

    total: int
    rate: float | None

    def chunk(self, done: int) -> int:
        most = CHUNK if self.rate is None else min(CHUNK, max(1, int(self.rate * CHUNK_SECONDS)))
        return min(most, self.total - done)

    def due(self, done: int) -> float:
        """Seconds after the start at which the next chunk may begin."""
        return done / self.rate if self.rate else 0.0


def _replay_all(
    client: Holdfast, only: DeadLetterFilter, pace: _Pace, priority: str | int | None, why: str | None
) -> BulkReplay:
    """Replay chunk after chunk, until as many as matched are done or none is left."""
    from holdfast.client import BulkReplay

    replayed = 0
    began = time.monotonic()
    try:
        while replayed < pace.total:
            time.sleep(max(0.0, began + pace.due(replayed) - time.monotonic()))
            done = client.replay_all(only, limit=pace.chunk(replayed), rate=pace.rate, priority=priority, reason=why)
            if not done.replayed:
                break
            replayed += done.replayed
            say(f"replayed {replayed} of {pace.total}")
    except BaseException:
        say(f"stopped after {replayed} of {pace.total}; the same command goes on with the rest")
        raise
    return BulkReplay(matched=pace.total, replayed=replayed, skipped=pace.total - replayed)


def _drop_one(client: Holdfast, letter_id: str, why: str, json: bool, *, forgiving: bool) -> bool:
    from holdfast.client import ProblemError

    try:
        letter = client.drop(letter_id, why)
    except ProblemError as refusal:
        if forgiving and refusal.status in {404, 409}:
            say(f"{letter_id} skipped: {refusal.detail or refusal.title}")
            return False
        raise
    if json:
        show.emit_json(letter)
    return True


def _progress(ids: Sequence[str]) -> Iterator[str]:
    if not sys.stderr.isatty():
        yield from ids
        return
    from rich.progress import track

    yield from track(ids, description="dropping", console=show.console(sys.stderr), transient=True)


def _filter(
    kind: str | None,
    reason: DeadReason | None,
    error: str | None,
    fingerprint: str | None,
    since: str | None,
    until: str | None,
) -> DeadLetterFilter:
    from holdfast.client import DeadLetterFilter

    return DeadLetterFilter(
        kind=kind,
        reason=reason.value if reason else None,
        error=error,
        fingerprint=fingerprint,
        since=values.past(since) if since else None,
        until=values.past(until) if until else None,
    )


def _choose(ids: Sequence[str] | None, only: DeadLetterFilter, everything: bool) -> bool:
    """Whether letters are named; exactly one of ids, filters and --all must be there."""
    ways = [bool(ids), bool(only.body()), everything]
    if sum(ways) != 1:
        fail(
            ExitCode.USAGE,
            "it is not clear which letters are meant",
            "Give either ids, or filters (--kind, --reason, --error, --fingerprint, --since, --until), or --all.",
        )
    return bool(ids)


def _confirm(question: str, yes: bool) -> None:
    if yes:
        return
    if not _asks():
        fail(
            ExitCode.USAGE,
            "this needs a yes, and there is no terminal to ask on",
            "Look with --dry-run, then add --yes.",
        )
    if not typer.confirm(question, err=True):
        say("nothing was changed")
        raise typer.Exit(ExitCode.OK)


def _asks() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin.isatty()


def _why(client: Holdfast, letter_id: str) -> str:
    letter = client.dead_letter(letter_id)
    return f"{letter.kind}, {letter.reason}: {letter.error}"


def main() -> None:
    """Run the command line."""
    run(app)


if __name__ == "__main__":
    main()
