"""`holdfast breakers`: how downstreams stand, and an operator's word about one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import show, values
from holdfast.cli.doctor import OPERATING
from holdfast.cli.session import Json, Url, say, session

if TYPE_CHECKING:
    from holdfast.client import Breaker

breakers = typer.Typer(
    no_args_is_help=True, help="The breakers of downstreams: look, force open or closed. Needs the role operate."
)

Name = Annotated[str, typer.Argument(help="Family and destination, such as webhook:hooks.example.com.")]
For = Annotated[str, typer.Option("--for", help="How long it holds: 90s, 30m, 2h; at most a week.")]
Reason = Annotated[str, typer.Option(help="Why; shown with the breaker, and kept in the audit trail.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(breakers, name="breakers", rich_help_panel=OPERATING)


@breakers.command("list")
def list_breakers(json: Json = False, url: Url = None) -> None:
    """List the downstreams of which anything is known: called of late, or forced."""
    with session(url) as client:
        found = client.breakers()
    show.emit_json(*found) if json else show.console().print(show.breakers_table(found))


@breakers.command("open")
def force_open(name: Name, reason: Reason, for_: For = "30m", json: Json = False, url: Url = None) -> None:
    """Send nothing there for a while: its jobs are parked and spend no attempt."""
    _force(name, "open", for_, reason, json, url)


@breakers.command("close")
def force_closed(name: Name, reason: Reason, for_: For = "30m", json: Json = False, url: Url = None) -> None:
    """Let calls through for a while, whatever the breaker sees."""
    _force(name, "closed", for_, reason, json, url)


@breakers.command("clear")
def clear(
    name: Name,
    reason: Annotated[str | None, typer.Option(help="Why; kept in the audit trail.")] = None,
    json: Json = False,
    url: Url = None,
) -> None:
    """Take back what was forced; the breaker goes on from where it is."""
    with session(url) as client:
        _tell(client.clear_breaker(name, reason=reason), json)


def _force(name: str, state: str, for_: str, reason: str, json: bool, url: str | None) -> None:
    ttl = values.duration(for_).total_seconds()
    with session(url) as client:
        _tell(client.force_breaker(name, state, ttl=ttl, reason=reason), json)


def _tell(breaker: Breaker, json: bool) -> None:
    said = breaker.override
    forced = f", forced {said.state} until {show.when(said.until)}" if said else ""
    say(f"{breaker.name} is {breaker.state}{forced}")
    if json:
        show.emit_json(breaker)
