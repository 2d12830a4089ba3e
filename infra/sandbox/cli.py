"""The commands of `python3 infra/sandbox`.

Exit code 0: done; 1: `status` found something down; 2: it cannot be done; 130: interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import chromium, envfile, h2load, native, platform, tools, venv
from .chosen import COMPOSE, DEBIAN, recall
from .compose import ComposeServices, engine_answers, explain
from .errors import EXIT_CODE, SandboxError
from .home import REPOSITORY, Home
from .progress import say, step
from .rootfs import RootFolder, unfit
from .sandbox import Row, Sandbox
from .services import CHOICES, SERVICES


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; every expected failure is a sentence, not a traceback."""
    os.umask(0o022)  # the services, another user when root starts them, must be able to read their programs
    arguments = _parser().parse_args(argv)
    home = Home.from_environment(os.environ)
    try:
        code: int = arguments.run(home, arguments)
    except SandboxError as error:
        print(error, file=sys.stderr)
        return EXIT_CODE
    except PermissionError as error:
        print(_not_yours(error, home), file=sys.stderr)
        return EXIT_CODE
    except OSError as error:
        print(SandboxError("The sandbox stopped", str(error)), file=sys.stderr)
        return EXIT_CODE
    except KeyboardInterrupt:
        print("Interrupted; run the same command again to go on.", file=sys.stderr)
        return 130
    return code


def _services(home: Home) -> Sandbox | ComposeServices:
    """By HOLDFAST_SANDBOX_ENGINE, else as the last time, else by what this machine can do."""
    engine = os.environ.get("HOLDFAST_SANDBOX_ENGINE")
    if engine not in (None, "", DEBIAN, COMPOSE):
        raise SandboxError(
            f"HOLDFAST_SANDBOX_ENGINE is {engine!r}",
            "there is no such way to run services",
            f"Set {DEBIAN} or {COMPOSE}",
        )
    if not engine and recall(home).engine == COMPOSE:
        engine = COMPOSE
    if not engine and unfit() and RootFolder.existing(home) is None and engine_answers():
        explain()
        engine = COMPOSE
    return ComposeServices(home, os.environ) if engine == COMPOSE else Sandbox(home, os.environ)


def _up(home: Home, arguments: argparse.Namespace) -> int:
    with home.locked(), step("sandbox is up"):
        _services(home).up(arguments.services)
        if unfit() is None:
            envfile.update(home.env_file, native.ensure(home.cache))
        elif native.missing():
            say("PDF rendering needs Pango, HarfBuzz and fonts of this machine's own (macOS: `brew install pango`)")
    return 0


def _chromium(home: Home, _: argparse.Namespace) -> int:
    if unfit():
        say(f"no Chromium is fetched here; set {chromium.VARIABLE} to one of your own, or go without")
        return 0
    with home.locked(), step("Chromium is there") as line:
        program = chromium.ensure(home)
        envfile.update(home.env_file, {chromium.VARIABLE: str(program)})
        line.text = f"Chromium is at {program}"
    return 0


def _h2load(home: Home, _: argparse.Namespace) -> int:
    with home.locked(), step("h2load is there") as line:
        program = h2load.ensure(home)
        envfile.update(home.env_file, {h2load.VARIABLE: str(program)})
        line.text = f"h2load is at {program}"
    return 0


def _down(home: Home, _: argparse.Namespace) -> int:
    if not home.root.exists():
        say(f"there is no sandbox in {home.root}")
        return 0
    with home.locked():
        platform.Platform(home).down()
        _services(home).down()
    return 0


def _wipe(home: Home, arguments: argparse.Namespace) -> int:
    if not home.root.exists():
        say(f"there is no sandbox in {home.root}")
        return 0
    with home.locked():
        platform.Platform(home).down()
        _services(home).wipe(only_data=arguments.data)
    return 0


def _status(home: Home, _: argparse.Namespace) -> int:
    rows = _services(home).status()
    _print_table(rows)
    return 0 if all(row.is_up for row in rows) else 1


def _env(home: Home, _: argparse.Namespace) -> int:
    if not home.env_file.exists():
        raise SandboxError(
            f"{home.env_file} does not exist", "the sandbox was never up", "Run `python3 infra/sandbox up`"
        )
    print(home.env_file.read_text(), end="")
    return 0


def _control(home: Home, arguments: argparse.Namespace) -> int:
    with home.locked():
        sandbox = _services(home)
        match arguments.command:
            case "start":
                sandbox.start(arguments.service)
            case "stop":
                sandbox.stop(arguments.service)
            case "kill":
                sandbox.kill(arguments.service)
            case "restart":
                sandbox.stop(arguments.service)
                sandbox.start(arguments.service)
    return 0


def _exec(home: Home, arguments: argparse.Namespace) -> int:
    services = _services(home)
    if isinstance(services, ComposeServices):
        raise SandboxError("There is no tool to run", "the services run in containers", services.hint)
    tools.become(services.place(), arguments.argv)


def _venv(home: Home, arguments: argparse.Namespace) -> int:
    with home.locked(), step(f"{arguments.target} is ready"):
        venv.make(home, arguments.project.resolve(), arguments.target.absolute())
    return 0


def _uv(home: Home, arguments: argparse.Namespace) -> int:
    with step(f"uv {' '.join(arguments.argv[:2])}"):
        venv.run_uv(home, REPOSITORY, arguments.argv)
    return 0


def _print_table(rows: Sequence[Row]) -> None:
    print(f"{'SERVICE':<12} {'VERSION':<9} {'STATE':<12} {'PID':>8} {'MEMORY':>8}  PORTS")
    for row in rows:
        memory = f"{row.memory / 1e6:.0f} MB" if row.memory else "-"
        print(f"{row.service:<12} {row.version:<9} {row.state:<12} {row.pid or '-':>8} {memory:>8}  {row.ports}")


def _not_yours(error: PermissionError, home: Home) -> SandboxError:
    return SandboxError(
        f"The sandbox in {home.root} cannot be used",
        str(error),
        "Run the command as the user who made it, or set HOLDFAST_HOME to a folder of your own",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 infra/sandbox", description="Holdfast's services without Docker.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="start what is missing, wait until it answers, write the env file")
    default = os.environ.get("HOLDFAST_SANDBOX_SERVICES") or ",".join(CHOICES)
    up.add_argument(
        "--services", type=_choice, default=default, help=f"of {','.join(CHOICES)} (HOLDFAST_SANDBOX_SERVICES)"
    )
    up.set_defaults(run=_up)

    commands.add_parser("down", help="stop everything; the data stays").set_defaults(run=_down)
    commands.add_parser("status", help="a table; exit code 0 only if all are up").set_defaults(run=_status)
    commands.add_parser("env", help="print the env file").set_defaults(run=_env)

    browser = commands.add_parser("chromium", help="fetch a headless Chromium, name it in the env file")
    browser.set_defaults(run=_chromium)

    generator = commands.add_parser("h2load", help="fetch the load generator h2load, name it in the env file")
    generator.set_defaults(run=_h2load)

    wipe = commands.add_parser("wipe", help="stop everything and remove it, downloads too")
    wipe.add_argument("--data", action="store_true", help="remove only the data, keep the downloads")
    wipe.set_defaults(run=_wipe)

    for name, text in (
        ("start", "start one service"),
        ("stop", "stop one service gracefully"),
        ("restart", "stop and start one service"),
        ("kill", "SIGKILL one service, as a crash would"),
    ):
        control = commands.add_parser(name, help=text)
        control.add_argument("service", choices=[service.name for service in SERVICES])
        control.set_defaults(run=_control)

    execute = commands.add_parser("exec", help="run rabbitmqctl, psql, redis-cli or promtool in the sandbox")
    execute.add_argument("argv", nargs=argparse.REMAINDER, metavar="TOOL ARGUMENT…")
    execute.set_defaults(run=_exec)

    uv = commands.add_parser("uv", help="run the pinned uv with the index settings of pip")
    uv.add_argument("argv", nargs=argparse.REMAINDER, metavar="ARGUMENT…")
    uv.set_defaults(run=_uv)
    environment = commands.add_parser("venv", help="make .venv from requirements.lock")
    environment.add_argument("--target", type=Path, default=REPOSITORY / ".venv")
    environment.add_argument("--project", type=Path, default=REPOSITORY, help=argparse.SUPPRESS)
    environment.set_defaults(run=_venv)

    platform.add_commands(commands)
    return parser


def _choice(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in CHOICES]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"choose of {', '.join(CHOICES)}")
    return names
