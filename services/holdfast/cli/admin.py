"""What an operator does once: migrate the ledger, set up the broker, make API keys."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from holdfast.cli.session import ExitCode, fail, say, settings_or_exit
from holdfast.domain.tenancy import DEFAULT_TENANT, Role

if TYPE_CHECKING:
    from holdfast.ports.keys import Keys

T = TypeVar("T")
SETUP = "Set-up"

db = typer.Typer(no_args_is_help=True, help="The ledger's schema.")
topology = typer.Typer(no_args_is_help=True, help="RabbitMQ's exchanges, queues and policies.")
keys = typer.Typer(no_args_is_help=True, help="API keys.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(db, name="db", rich_help_panel=SETUP)
    app.add_typer(topology, name="topology", rich_help_panel=SETUP)
    app.add_typer(keys, name="keys", rich_help_panel=SETUP)


@db.command("upgrade")
def upgrade() -> None:
    """Migrate the ledger to the schema that this version needs. Safe to run again, and by several at once."""
    from sqlalchemy.exc import SQLAlchemyError

    from holdfast.adapters.postgres import schema

    url = settings_or_exit().postgres_url.get_secret_value()
    try:
        schema.upgrade(url)
    except (SQLAlchemyError, OSError) as error:
        cause = getattr(error, "orig", None) or error
        fail(
            ExitCode.UNAVAILABLE,
            f"the ledger was not migrated: {cause}",
            "Check HOLDFAST_POSTGRES_URL, then run it again.",
        )
    say(f"the ledger is at {schema.head()}")


@topology.command("apply")
def apply() -> None:
    """Declare exchanges, queues and bindings, and set the policies."""
    from holdfast import bootstrap

    keeper = bootstrap.topology_keeper(settings_or_exit())
    for change in keeper.apply():
        typer.echo(f"put right: {change}")
    say("the topology is as it should be")


@topology.command("diff")
def diff() -> None:
    """Show what differs from the topology that this version wants; exit code 1 when anything does."""
    from holdfast import bootstrap

    management = bootstrap.management(settings_or_exit())
    differences = management.diff()
    for difference in differences:
        typer.echo(difference)
    say(f"{len(differences)} differences" if differences else "no difference")
    raise typer.Exit(1 if differences else 0)


@keys.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is; shows in the audit trail.")],
    tenant: Annotated[str, typer.Option(help="The tenant that it acts for.")] = DEFAULT_TENANT,
    role: Annotated[list[Role] | None, typer.Option(help="submit, read or operate; several may be given.")] = None,
) -> None:
    """Make an API key and print it: this is the only time that it can be seen."""
    from holdfast.domain.tenancy import key_digest, new_key
    from holdfast.ports.clock import SystemClock

    key = new_key()
    roles = role or [Role.SUBMIT, Role.READ]
    _with_keys(lambda store: store.add(SystemClock().new_id(), name, tenant, roles, key_digest(key)))
    say(f"key of {name!r} for the tenant {tenant!r} with the roles {', '.join(roles)}; keep it, it is not shown again:")
    typer.echo(key)


@keys.command("list")
def list_keys() -> None:
    """List the keys, without their text."""
    for key in _with_keys(lambda store: store.all()):
        state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else "in force"
        typer.echo(f"{key.name}\t{key.tenant}\t{','.join(sorted(key.roles))}\t{key.created_at:%Y-%m-%d %H:%M}\t{state}")


@keys.command("revoke")
def revoke(name: Annotated[str, typer.Argument(help="The name that the key was made with.")]) -> None:
    """Revoke the keys of a name; the api notices within ten seconds."""
    if not _with_keys(lambda store: store.revoke(name)):
        fail(ExitCode.REFUSED, f"there is no key in force with the name {name!r}", "`holdfast keys list` shows them.")
    say(f"revoked {name!r}")


def _with_keys(work: Callable[[Keys], Awaitable[T]]) -> T:
    """Run one question against the key store."""
    from holdfast import bootstrap

    async def main() -> T:
        async with bootstrap.keys(settings_or_exit()) as store:
            return await work(store)

    return asyncio.run(main())
