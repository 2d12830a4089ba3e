"""Tables for people and JSON Lines for programs. Without a terminal, tables are wide enough not to be cut."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from pydantic import BaseModel

    from holdfast.client import Attempt, AuditEntry, Breaker, DeadLetter, DeadLetterGroup, Endpoint, Failure, Job, Kind

STATE_STYLE: Mapping[str, str] = {
    "blocked": "dim cyan",
    "scheduled": "cyan",
    "queued": "blue",
    "running": "yellow",
    "waiting": "magenta",
    "parked": "magenta",
    "succeeded": "green",
    "cancelled": "dim",
    "failed": "red",
    "enabled": "green",
    "disabled": "yellow",
    "failing": "red",
    "gone": "red",
    "deleted": "dim",
    "dead": "bold red",
}
WIDE = 220
"""Columns of a table that no terminal limits."""
_FLEXIBLE = frozenset({"message", "reason", "details", "failure", "tags", "payload fields (* required)"})
_NEVER_CUT: Mapping[str, int] = {"id": 36, "state": 9, "fingerprint": 16}
"""Least widths: an id that is cut cannot be copied."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def console(file: TextIO | None = None) -> Console:
    """Return a console on stdout, or on `file`."""
    file = file or sys.stdout
    width = None if file.isatty() or "COLUMNS" in os.environ else WIDE
    return Console(file=file, width=width, highlight=False, markup=False, emoji=False)


def emit_json(*models: BaseModel) -> None:
    """Print each model as one line of JSON."""
    for model in models:
        typer.echo(model.model_dump_json(by_alias=True))


def jobs_table(jobs: Iterable[Job], now: datetime | None = None) -> Table:
    """One row for each job."""
    table = _table("id", "kind", "state", "priority", "attempt", "age", "waited", "ran", "tags", "failure")
    for job in jobs:
        _row(
            table,
            job.id,
            job.kind,
            state(job.state),
            str(job.priority),
            attempts_of(job),
            seconds(((now or datetime.now(UTC)) - job.created_at).total_seconds()),
            seconds(job.queue_wait_seconds),
            seconds(job.run_seconds),
            " ".join(job.tags),
            Text(job.failure.error if job.failure else "", overflow="ellipsis"),
        )
    return table


def job_details(job: Job) -> Table:
    """All there is about one job."""
    rows: dict[str, Any] = {
        "id": job.id,
        "kind": job.kind,
        "state": state(job.state),
        "attempt": attempts_of(job),
        "priority": job.priority,
        "key": job.idempotency_key,
        "tags": " ".join(job.tags),
        "parked by": job.parked_by,
        "ordering": job.ordering_key,
        "callback": job.callback_url,
        "created": job.created_at,
        "due": job.due_at,
        "deadline": job.deadline,
        "started": job.started_at,
        "finished": job.finished_at,
        "waited": seconds(job.queue_wait_seconds),
        "ran": seconds(job.run_seconds),
        "failure": failure(job.failure),
        "result": _json(job.result) if job.result else None,
    }
    for link in job.artifacts:
        rows[f"artifact {link.name}"] = f"{link.media_type}, {size(link.size)}, sha256 {link.sha256}"
    return _details(rows)


def attempts_table(attempts: Iterable[Attempt]) -> Table:
    """One row for each attempt."""
    table = _table("attempt", "state", "worker", "deliveries", "started", "took", "failure")
    for attempt in attempts:
        took = None
        if attempt.started_at and attempt.finished_at:
            took = (attempt.finished_at - attempt.started_at).total_seconds()
        _row(
            table,
            str(attempt.number),
            state(attempt.state) + (f" ×{attempt.parked}" if attempt.parked > 1 else ""),
            attempt.worker or "",
            str(attempt.deliveries),
            when(attempt.started_at),
            seconds(took),
            failure(attempt.failure),
        )
    return table


def kinds_table(kinds: Iterable[Kind]) -> Table:
    """One row for each kind."""
    table = _table("kind", "queue", "attempts", "time limit", "payload fields (* required)")
    for kind in kinds:
        required = set(kind.payload_schema.get("required", ()))
        names = [f"{name}*" if name in required else name for name in kind.payload_schema.get("properties", {})]
        tries, limit = str(kind.max_attempts or ""), seconds(kind.time_limit_seconds)
        _row(table, kind.kind, kind.queue, tries, limit, Text(" ".join(names), overflow="fold"))
    return table


def letters_table(letters: Iterable[DeadLetter], now: datetime | None = None) -> Table:
    """One row for each dead letter."""
    table = _table("id", "kind", "reason", "error", "attempts", "died", "message")
    for letter in letters:
        ending = ", replayed" if letter.replayed_at else ", dropped" if letter.dropped_at else ""
        age = ((now or datetime.now(UTC)) - letter.died_at).total_seconds()
        _row(
            table,
            letter.id,
            letter.kind or "",
            Text(letter.reason + ending, style="red"),
            letter.error,
            str(letter.attempts),
            f"{seconds(age)} ago",
            Text(letter.message, overflow="ellipsis"),
        )
    return table


def groups_table(groups: Iterable[DeadLetterGroup], now: datetime | None = None) -> Table:
    """One row for each group of equal failures."""
    now = now or datetime.now(UTC)
    table = _table("fingerprint", "count", "kind", "reason", "error", "first seen", "last seen", "message")
    for group in groups:
        _row(
            table,
            group.fingerprint,
            str(group.count),
            group.kind or "",
            Text(group.reason, style="red"),
            group.error,
            f"{seconds((now - group.first_seen).total_seconds())} ago",
            f"{seconds((now - group.last_seen).total_seconds())} ago",
            Text(group.message, overflow="ellipsis"),
        )
    return table


def letter_details(letter: DeadLetter) -> Table:
    """All there is about one dead letter."""
    return _details(
        {
            "id": letter.id,
            "job": letter.job_id,
            "tenant": letter.tenant,
            "kind": letter.kind,
            "reason": Text(letter.reason, style="bold red"),
            "error": letter.error,
            "message": letter.message,
            "attempts": letter.attempts,
            "fingerprint": letter.fingerprint,
            "died": letter.died_at,
            "replayed": letter.replayed_at,
            "dropped": letter.dropped_at,
            "dropped by": letter.dropped_by,
            "dropped because": letter.drop_reason,
            "headers": _json(letter.headers) if letter.headers else None,
            "body": letter.body,
        }
    )


def state(name: str) -> Text:
    """A state in its colour."""
    return Text(name, style=STATE_STYLE.get(name, ""))


def attempts_of(job: Job) -> str:
    """`2/6`."""
    return f"{job.attempt}/{job.max_attempts}" if job.max_attempts else str(job.attempt)


def failure(it: Failure | None) -> Text:
    """The reason, the error and its message."""
    if it is None:
        return Text("")
    return Text(f"{it.reason + ': ' if it.reason else ''}{it.error}: {it.message}", style="red", overflow="fold")


def seconds(value: float | None) -> str:
    """A duration for people: `12 ms`, `3.4 s`, `5 m 02 s`, `3 h 20 m`, `2 d 4 h`."""
    if value is None:
        return ""
    value = max(value, 0.0)
    whole = round(value)
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} m"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def size(count: int) -> str:
    """Bytes for people: `912 B`, `1.4 MiB`."""
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def plain(text: str) -> str:
    """Text that came from elsewhere (a receiver's answer, a header), unable to command the terminal."""
    return _CONTROL.sub("�", text)


def when(at: datetime | None) -> str:
    """A moment to the second, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ") if at else ""


def audit_table(entries: Iterable[AuditEntry]) -> Table:
    """One row for each deed."""
    table = _table("at", "actor", "role", "action", "target", "outcome", "reason", "details")
    for entry in entries:
        actor = f"{entry.actor.tenant}/{entry.actor.name}"
        about = " ".join(f"{name}={_json(value)}" for name, value in entry.details.items() if value is not None)
        deed = entry.action, entry.target, entry.outcome, entry.reason or "", about
        _row(table, when(entry.at), actor, entry.actor.role, *deed)
    return table


def endpoints_table(endpoints: Iterable[Endpoint]) -> Table:
    """One row for each endpoint."""
    table = _table("id", "state", "url", "event types", "failures", "since", "description")
    for it in endpoints:
        types = " ".join(it.event_types) or "all"
        _row(table, it.id, state(it.state), it.url, types, str(it.failures), when(it.since), it.description)
    return table


def endpoint_details(endpoint: Endpoint) -> Table:
    """All there is about one endpoint."""
    signing = [f"since {when(it.created_at)}, until {when(it.expires_at) or 'rotated'}" for it in endpoint.secrets]
    return _details(
        {
            "id": endpoint.id,
            "url": endpoint.url,
            "description": endpoint.description,
            "state": state(endpoint.state),
            "since": endpoint.since,
            "why": endpoint.why,
            "event types": " ".join(endpoint.event_types) or "all",
            "headers": " ".join(endpoint.header_names),
            "signed by": "; ".join(signing),
            "failures": endpoint.failures,
            "failing since": endpoint.failing_since,
            "next probe": endpoint.next_probe_at,
            "parked jobs": endpoint.parked_jobs,
            "created": endpoint.created_at,
        }
    )


def breakers_table(breakers: Iterable[Breaker]) -> Table:
    """One row for each downstream."""
    table = _table("name", "state", "since", "calls", "failed", "slow", "until", "limit", "forced", "reason")
    for it in breakers:
        shares = f"{it.failure_rate:.0%}", f"{it.slow_rate:.0%}"
        forced = f"{it.override.state} until {when(it.override.until)} by {it.override.by}" if it.override else ""
        limit = "" if it.limit is None else f"{it.in_flight}/{it.limit}"
        until = when(it.open_until or it.paused_until)
        why = it.override.reason if it.override else f"only {it.flagged} sees it fail" if it.flagged else ""
        _row(table, it.name, it.state, when(it.since), str(it.calls), *shares, until, limit, forced, why)
    return table


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column not in _FLEXIBLE, min_width=_NEVER_CUT.get(column))
    return table


def _details(rows: Mapping[str, Any]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        if value is None or not str(value):
            continue
        _row(
            table,
            name,
            value if isinstance(value, Text) else when(value) if isinstance(value, datetime) else str(value),
        )
    return table


def _row(table: Table, *cells: str | Text) -> None:
    for cell in cells:
        if isinstance(cell, Text):
            cell.plain = plain(cell.plain)
    table.add_row(*(cell if isinstance(cell, Text) else plain(cell) for cell in cells))
