"""From settings to a client, and from errors to a sentence and an exit code."""

from __future__ import annotations

import getpass
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from holdfast.domain.errors import HoldfastError, Unavailable

if TYPE_CHECKING:
    from holdfast.client import Holdfast, ProblemError
    from holdfast.domain.audit import Actor
    from holdfast.settings import Settings


class ExitCode(IntEnum):
    """What the shell sees. The codes are an interface: scripts branch on them."""

    OK = 0
    JOB_FAILED = 1
    USAGE = 2
    REFUSED = 3
    UNAVAILABLE = 4
    TIMED_OUT = 5
    BUG = 70
    INTERRUPTED = 130


EXIT_CODES = (
    "[bold]Exit codes:[/bold] 0 done · 1 the job ended dead or cancelled (with --wait, and in watch) · "
    "2 wrong usage · 3 the api refused (4xx) · 4 the api cannot be reached or failed (5xx) · 5 timed out waiting"
)
CONNECTION = (
    "The api is found through HOLDFAST_API_URL (default http://127.0.0.1:8000) or --url, "
    "and HOLDFAST_API_KEY is sent as the key."
)

Url = Annotated[str | None, typer.Option("--url", help="Address of the api, in place of HOLDFAST_API_URL.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, one object a line.")]


def say(text: str) -> None:
    """Tell the person something that is not the output."""
    typer.echo(text, err=True)


def fail(code: ExitCode, what: str, advice: str | None = None) -> NoReturn:
    """Say what failed and what to do, and end with `code`."""
    say(f"error: {what}")
    if advice:
        say(f"  fix: {advice}")
    raise typer.Exit(code)


@contextmanager
def session(url: str | None, *, seconds: float = 5.0, on_silence: str | None = None) -> Iterator[Holdfast]:
    """Give the block a client; whatever the client raises becomes a message and an exit code.

    Requests are repeated for `seconds`, and the person is told. `on_silence` is added when the api gave no answer:
    what may have happened, and how to find out.
    """
    from holdfast.client import ClientError, CorruptDownload, Holdfast, Patience, ProblemError, Unreachable, WaitTimeout

    address, key = _address(url)
    _tell_repetitions()
    try:
        with Holdfast(address, key, patience=Patience(total=seconds)) as client:
            yield client
    except ProblemError as error:
        _refused(error, on_silence)
    except Unreachable as error:
        start = f"Check that the api runs (`holdfast api`) and that HOLDFAST_API_URL or --url is right ({address})."
        fail(ExitCode.UNAVAILABLE, str(error), " ".join(filter(None, [start, on_silence])))
    except WaitTimeout as error:
        fail(ExitCode.TIMED_OUT, str(error), f"`holdfast watch {error.job.id}` goes on waiting.")
    except CorruptDownload as error:
        fail(ExitCode.UNAVAILABLE, str(error))
    except ClientError as error:
        fail(ExitCode.REFUSED, str(error))
    except KeyboardInterrupt:
        say("interrupted; jobs that were accepted go on")
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def run(app: typer.Typer) -> None:
    """Run a command line as a process: no traceback reaches the person unless HOLDFAST_TRACEBACK is set."""
    try:
        app()
    except HoldfastError as error:
        say(f"error: {error}")
        sys.exit(ExitCode.UNAVAILABLE if isinstance(error, Unavailable) else ExitCode.REFUSED)
    except Exception as error:
        if os.environ.get("HOLDFAST_TRACEBACK"):
            raise
        say(f"error: {type(error).__name__}: {error}")
        say("  fix: this is a bug in Holdfast; run it again with HOLDFAST_TRACEBACK=1 and report what it prints.")
        sys.exit(ExitCode.BUG)


def _tell_repetitions() -> None:
    log = logging.getLogger("holdfast.client")
    if not log.handlers:
        log.addHandler(_Sayer())
        log.setLevel(logging.INFO)


class _Sayer(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def settings_or_exit() -> Settings:
    """The settings of the environment; wrong ones end the command with a sentence for each."""
    from pydantic import ValidationError

    from holdfast.settings import Settings

    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(f"HOLDFAST_{'__'.join(map(str, it['loc'])).upper()}: {it['msg']}" for it in error.errors())
        fail(ExitCode.USAGE, f"the settings in the environment are wrong: {wrong}", "Correct or unset these variables.")


def person_on_server() -> Actor:
    """Whoever runs a command that needs no key, for the audit trail."""
    from holdfast.domain.audit import Actor

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = str(os.getuid())
    return Actor.on_server(user, socket.gethostname())


def _address(url: str | None) -> tuple[str, str | None]:
    settings = settings_or_exit()
    key = settings.api_key.get_secret_value() if settings.api_key else None
    return url or settings.api_url, key


def _refused(error: ProblemError, on_silence: str | None) -> NoReturn:
    say(f"error: {error.status} {error.title}" + (f": {error.detail}" if error.detail else ""))
    for field in error.errors:
        say(f"       {field.pointer or '/'}: {field.detail}")
    if error.status == 401:
        say("  fix: put a valid key in HOLDFAST_API_KEY; `holdfast keys create` makes one.")
    if error.retry_after is not None:
        say(f"  fix: try again in {error.retry_after:.0f} s.")
    if error.status >= 500 and on_silence:
        say(f"  fix: {on_silence}")
    raise typer.Exit(ExitCode.UNAVAILABLE if error.status >= 500 else ExitCode.REFUSED)
