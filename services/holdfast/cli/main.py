"""The entry point of `holdfast`."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast import __version__
from holdfast.cli import admin, audit, breakers, doctor, endpoints, jobs, secrets, serve, watch
from holdfast.cli.session import CONNECTION, EXIT_CODES, run

app = typer.Typer(
    name="holdfast",
    help=f"Background jobs that are never lost. {CONNECTION}",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
jobs.register(app)
watch.register(app)
serve.register(app)
admin.register(app)
secrets.register(app)
endpoints.register(app)
doctor.register(app)
breakers.register(app)
audit.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"holdfast {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Options of all commands; the text of --help is the app's."""


def main() -> None:
    """Run the command line."""
    run(app)


if __name__ == "__main__":
    main()
