"""The keys that seal secrets at rest: make one, and move the ledger to it."""

from __future__ import annotations

import asyncio

import typer

from holdfast.cli.session import say, settings_or_exit

secrets = typer.Typer(no_args_is_help=True, help="The keys that seal secrets at rest.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(secrets, name="secrets", rich_help_panel="Set-up")


@secrets.command("new-key")
def new_key() -> None:
    """Print a new key. Put it first in HOLDFAST_ENCRYPTION_KEYS, before those that are in use."""
    from holdfast.adapters.vault import new_key

    typer.echo(new_key())


@secrets.command("reseal")
def reseal() -> None:
    """Seal every secret in the ledger with the newest key; then older keys can go. Safe to stop and run again."""
    from holdfast import bootstrap

    async def main() -> tuple[int, int]:
        async with bootstrap.reseal(settings_or_exit()) as work:
            return await work.endpoints(), await work.jobs()

    endpoints, jobs = asyncio.run(main())
    say(f"{endpoints} endpoints and {jobs} jobs sealed with the newest key; all others were already")
