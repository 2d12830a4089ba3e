"""`holdfast endpoints`: where webhooks go, what signs them, and whether any go at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import show, values
from holdfast.cli.doctor import OPERATING
from holdfast.cli.session import Json, Url, say, session

if TYPE_CHECKING:
    from holdfast.client import Endpoint

SECRET = "HOLDFAST_ENDPOINT_SECRET"  # noqa: S105 - the variable's name
Id = Annotated[str, typer.Argument(metavar="ID", help="The endpoint's id.")]
Reason = Annotated[str | None, typer.Option(help="Why; kept in the audit trail.")]
Types = Annotated[
    list[str] | None, typer.Option("--event-type", help="Deliver only this type (or order.*); may be given often.")
]
Headers = Annotated[
    list[str] | None, typer.Option("--header", help="'Name: value', sent with every webhook; may be given often.")
]

endpoints = typer.Typer(no_args_is_help=True, help="Webhook endpoints. Changes need a key with the role operate.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(endpoints, name="endpoints", rich_help_panel=OPERATING)


@endpoints.command("create")
def create(
    to: Annotated[str, typer.Argument(metavar="URL", help="Where its webhooks go.")],
    description: Annotated[str | None, typer.Option(help="For people.")] = None,
    event_type: Types = None,
    header: Headers = None,
    reason: Reason = None,
    json: Json = False,
    url: Url = None,
) -> None:
    """Make an endpoint and print its secret: this is the only time that it can be seen.

    HOLDFAST_ENDPOINT_SECRET gives it a secret of your own (whsec_…).
    """
    with session(url) as client:
        made = client.create_endpoint(
            to,
            description=description,
            event_types=event_type or (),
            headers=values.headers(header),
            secret=os.environ.get(SECRET),
            reason=reason,
        )
    _print_secret(made, json)


@endpoints.command("list")
def list_endpoints(
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50, json: Json = False, url: Url = None
) -> None:
    """List the endpoints, newest first."""
    with session(url) as client:
        found = list(client.endpoints(limit=limit))
    show.emit_json(*found) if json else show.console().print(show.endpoints_table(found))


@endpoints.command("show")
def show_one(endpoint_id: Id, json: Json = False, url: Url = None) -> None:
    """Show one endpoint: its state, its failures, and how many jobs are parked until it is enabled."""
    with session(url) as client:
        _print(client.endpoint(endpoint_id), json)


@endpoints.command("change")
def change(
    endpoint_id: Id,
    to: Annotated[str | None, typer.Option(help="Where its webhooks go from now on.")] = None,
    description: Annotated[str | None, typer.Option(help="For people.")] = None,
    event_type: Types = None,
    header: Headers = None,
    reason: Reason = None,
    json: Json = False,
    url: Url = None,
) -> None:
    """Change what is given. Webhooks that wait are delivered by what it says when their turn comes."""
    with session(url) as client:
        changed = client.change_endpoint(
            endpoint_id,
            url=to,
            description=description,
            event_types=event_type,
            headers=values.headers(header),
            reason=reason,
        )
    _print(changed, json)


@endpoints.command("rotate-secret")
def rotate_secret(
    endpoint_id: Id,
    overlap: Annotated[str, typer.Option(help="How long the old secret signs too: 0s after a leak.")] = "24h",
    reason: Reason = None,
    json: Json = False,
    url: Url = None,
) -> None:
    """Give it a new secret and print it: this is the only time that it can be seen."""
    both = values.duration(overlap).total_seconds()
    with session(url) as client:
        rotated = client.rotate_secret(endpoint_id, secret=os.environ.get(SECRET), overlap=both, reason=reason)
    _print_secret(rotated, json)


@endpoints.command("enable")
def enable(endpoint_id: Id, reason: Reason = None, json: Json = False, url: Url = None) -> None:
    """Deliver again; parked jobs begin within about a second, a few at first."""
    with session(url) as client:
        _print(client.enable_endpoint(endpoint_id, reason), json)


@endpoints.command("disable")
def disable(endpoint_id: Id, reason: Reason = None, json: Json = False, url: Url = None) -> None:
    """Deliver no more; jobs are parked until it is enabled."""
    with session(url) as client:
        _print(client.disable_endpoint(endpoint_id, reason), json)


@endpoints.command("delete")
def delete(endpoint_id: Id, reason: Reason = None, json: Json = False, url: Url = None) -> None:
    """Delete it for good; jobs that still name it end as dead."""
    with session(url) as client:
        _print(client.delete_endpoint(endpoint_id, reason), json)


def _print(endpoint: Endpoint, json: bool) -> None:
    show.emit_json(endpoint) if json else show.console().print(show.endpoint_details(endpoint))


def _print_secret(endpoint: Endpoint, json: bool) -> None:
    say(f"endpoint {endpoint.id} at {endpoint.url}; keep its secret, it is not shown again:")
    show.emit_json(endpoint) if json else typer.echo(endpoint.secret)
