"""`holdfast audit`: who did what to the platform, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast.cli import show, values
from holdfast.cli.doctor import OPERATING
from holdfast.cli.session import Json, Url, say, session
from holdfast.domain.audit import AuditAction, AuditOutcome


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command(rich_help_panel=OPERATING)(audit)


def audit(
    action: Annotated[AuditAction | None, typer.Option(help="Only this deed.")] = None,
    outcome: Annotated[AuditOutcome | None, typer.Option(help="begun: it may have happened; done; failed.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only deeds of this key (by its name).")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only deeds of this tenant's keys.")] = None,
    target: Annotated[str | None, typer.Option(help="Only what was done to this (an id, a breaker's name).")] = None,
    since: Annotated[str | None, typer.Option(help="Done since: 2h, 30m, 3d ago, or a time (RFC 3339).")] = None,
    until: Annotated[str | None, typer.Option(help="Done until: 2h, 30m, 3d ago, or a time (RFC 3339).")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    json: Json = False,
    url: Url = None,
) -> None:
    """Show what operators did, newest first: who, what, to what, why. Needs a key with the role operate."""
    with session(url) as client:
        entries = client.audit(
            action=action.value if action else None,
            outcome=outcome.value if outcome else None,
            actor=actor,
            tenant=tenant,
            target=target,
            since=values.past(since) if since else None,
            until=values.past(until) if until else None,
            limit=limit,
        )
        if json:
            for entry in entries:
                show.emit_json(entry)
            return
        found = list(entries)
    show.console().print(show.audit_table(found))
    say(f"{len(found)} entries" + (f"; --limit {limit} may hide older ones" if len(found) == limit else ""))
