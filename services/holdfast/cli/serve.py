"""The processes of the platform: `holdfast api`, `holdfast worker`, `holdfast steward`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.admin import migrate
from holdfast.cli.session import settings_or_exit

if TYPE_CHECKING:
    from fastapi import FastAPI

    from holdfast.settings import Settings


class WorkerPool(StrEnum):
    """The two worker services."""

    RENDER = "render"
    WEBHOOK = "webhook"


PROCESSES = "Processes"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(rich_help_panel=PROCESSES)(api)
    app.command(rich_help_panel=PROCESSES)(worker)
    app.command(rich_help_panel=PROCESSES)(steward)


def api() -> None:
    """Serve the HTTP api (HOLDFAST_API_HOST, HOLDFAST_API_PORT), and stand for election as steward."""
    settings = _process("api")
    if settings.migrate_on_start:
        migrate(settings)
    from holdfast.api.server import serve

    serve(settings, lambda: _application(settings), f"{__name__}:one_of_several")


def one_of_several() -> FastAPI:
    """What each of several api processes serves; called in the process."""
    from holdfast.api.server import joining

    with joining():
        return _application(_logging("api"))


def _application(settings: Settings) -> FastAPI:
    from holdfast.api.app import settled

    return settled(settings)


def worker(
    pool: Annotated[WorkerPool, typer.Argument(help="render runs image.* and pdf.*; webhook runs the rest.")],
) -> None:
    """Run jobs from RabbitMQ until told to stop; SIGTERM lets running jobs finish, then gives them back."""
    settings = _process(f"worker-{pool}")
    from holdfast.worker.main import main

    raise typer.Exit(main(pool.value, settings))


def steward() -> None:
    """Stand for election as steward without an api (set HOLDFAST_STEWARD_IN_API=false there)."""
    settings = _process("steward")
    from holdfast.steward.main import main

    main(settings)


def _process(service: str) -> Settings:
    """Read the settings, set up the log of a process, and refuse to start without a way to keep secrets."""
    import structlog

    from holdfast import bootstrap

    settings = _logging(service)
    bootstrap.vault(settings)
    if not settings.encryption_keys:
        why = "HOLDFAST_ENCRYPTION_KEYS is not set: secrets at rest are sealed with a key that everybody knows"
        structlog.get_logger(__name__).warning("secrets_sealed_with_development_key", why=why)
    return settings


def _logging(service: str) -> Settings:
    """The settings, once the log of a process is set up."""
    from holdfast.telemetry import logs

    settings = settings_or_exit()
    logs.configure(settings.log_level, settings.log_format, service)
    return settings
