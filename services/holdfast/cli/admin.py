"""What an operator does once: migrate the ledger, set up the broker, make API keys."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from holdfast.cli import show, values
from holdfast.cli.session import ExitCode, fail, person_on_server, say, settings_or_exit
from holdfast.domain.tenancy import DEFAULT_TENANT, Role

if TYPE_CHECKING:
    from holdfast.engine.issue_keys import IssueKeys
    from holdfast.ports.keys import ApiKey, Keys
    from holdfast.settings import Settings

T = TypeVar("T")
SETUP = "Set-up"
Why = Annotated[str | None, typer.Option("--reason", help="Why; kept in the audit trail.")]

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
    migrate(settings_or_exit())


def migrate(settings: Settings) -> None:
    """Bring the ledger to `schema.head()`, or end the process with the reason."""
    from sqlalchemy.exc import SQLAlchemyError

    from holdfast.adapters.postgres import migrate as migrations
    from holdfast.adapters.postgres import schema

    try:
        migrations.upgrade(settings.postgres_url.get_secret_value())
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


@topology.command("password")
def password(
    old: Annotated[str, typer.Option(envvar="HOLDFAST_RABBITMQ_OLD_PASSWORD", help="The password that is good now.")],
) -> None:
    """Change RabbitMQ's password to the one in HOLDFAST_RABBITMQ_MANAGEMENT_URL. Safe to run again."""
    from holdfast import bootstrap
    from holdfast.domain.errors import BrokerUnavailable

    try:
        changed = bootstrap.management(settings_or_exit()).adopt_password(old)
    except BrokerUnavailable as error:
        fail(ExitCode.UNAVAILABLE, f"the password was not changed: {error}", "Check the old password.")
    say("the password is changed" if changed else "the password is good already")


@keys.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is; shows in the audit trail.")],
    tenant: Annotated[str, typer.Option(help="The tenant that it acts for.")] = DEFAULT_TENANT,
    role: Annotated[list[Role] | None, typer.Option(help="submit, read, operate, admin; several may be given.")] = None,
    expires: Annotated[str | None, typer.Option(help="End by itself after so long: 12h, 90d.")] = None,
    reason: Why = None,
) -> None:
    """Make an API key and print it: this is the only time that it can be seen.

    It writes to the ledger itself, so it also makes the first key of all.
    """
    roles = role or [Role.SUBMIT, Role.READ]
    expires_at = datetime.now(UTC) + values.duration(expires) if expires else None
    key, text = _with_keys(lambda _, keys: keys.issue(person_on_server(), name, tenant, roles, expires_at, reason))
    until = f" until {key.expires_at:%Y-%m-%d %H:%M} UTC" if key.expires_at else ""
    say(
        f"key of {name!r} for the tenant {tenant!r} with the roles {', '.join(roles)}{until}; "
        "keep it, it is not shown again:"
    )
    typer.echo(text)


@keys.command("list")
def list_keys() -> None:
    """List the keys, without their text."""
    for key in _with_keys(lambda store, _: store.all()):
        used = f"used {key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never used"
        fields = key.prefix or "", key.name, key.tenant, ",".join(sorted(key.roles)), used, _state(key)
        typer.echo("\t".join(map(show.plain, fields)))


@keys.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="The name that the key was made with, or its id.")],
    reason: Why = None,
) -> None:
    """Revoke the keys of a name; the api notices within ten seconds."""

    async def work(_: Keys, keys: IssueKeys) -> int:
        found = await keys.named(name)
        return len([key for key in found if await keys.revoke(person_on_server(), key, reason)])

    if not _with_keys(work):
        fail(ExitCode.REFUSED, f"there is no key in force with the name {name!r}", "`holdfast keys list` shows them.")
    say(f"revoked {name!r}")


def _state(key: ApiKey) -> str:
    if key.revoked_at:
        return f"revoked {key.revoked_at:%Y-%m-%d %H:%M}"
    if key.expires_at is None:
        return "in force"
    verb = "ends" if key.in_force(datetime.now(UTC)) else "ended"
    return f"{verb} {key.expires_at:%Y-%m-%d %H:%M}"


def _with_keys(work: Callable[[Keys, IssueKeys], Awaitable[T]]) -> T:
    """Run one question against the key store."""
    from holdfast import bootstrap

    async def main() -> T:
        async with bootstrap.keys(settings_or_exit()) as (store, issue):
            return await work(store, issue)

    return asyncio.run(main())
