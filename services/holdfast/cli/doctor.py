"""`holdfast doctor` looks at everything and changes nothing; `holdfast reconcile` repairs what it finds."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.session import ExitCode, Json, say, settings_or_exit

if TYPE_CHECKING:
    from holdfast.cli.checks import Finding
    from holdfast.cli.repairs import Repair

OPERATING = "Operating"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(rich_help_panel=OPERATING)(doctor)
    app.command(rich_help_panel=OPERATING)(reconcile)


def doctor(as_json: Json = False) -> None:
    """Check every dependency and count every job; exit code 1 when anything fails. Takes about ten seconds."""
    from holdfast import bootstrap
    from holdfast.cli import checks

    settings = settings_or_exit()
    _quiet()

    async def main() -> list[Finding]:
        async with bootstrap.operator(settings) as runtime:
            return await checks.examine(runtime)

    findings = asyncio.run(main())
    failed = [finding for finding in findings if finding.verdict is checks.Verdict.FAIL]
    if as_json:
        typer.echo(json.dumps({"ok": not failed, "checks": [_fields(finding) for finding in findings]}))
    else:
        for finding in findings:
            _print(finding.verdict, finding.name, finding.says, finding.advice)
        say(f"{len(failed)} of {len(findings)} checks failed" if failed else "no check failed")
    raise typer.Exit(1 if failed else ExitCode.OK)


def reconcile(
    yes: Annotated[bool, typer.Option("--yes", help="Repair. Without it only say what would be done.")] = False,
    as_json: Json = False,
) -> None:
    """Repair what a steward would, at once: topology, outbox, leases, lost tickets, dead messages, the gate's memory.

    Every step is safe to run again, and beside a running platform. Exit code 1 when a step could not be taken.
    """
    from holdfast import bootstrap
    from holdfast.cli import repairs

    settings = settings_or_exit()
    _quiet()

    async def main() -> list[Repair]:
        done = []
        async with bootstrap.operator(settings) as runtime:
            async for repair in repairs.Reconciliation(runtime, act=yes).steps():
                tell(repair)
                done.append(repair)
            if yes:
                await repairs.put_on_record(runtime, done)
        return done

    def tell(repair: Repair) -> None:
        if as_json:
            typer.echo(json.dumps(_fields(repair)))
        else:
            verdict = "fail" if repair.error else "ok" if yes or not repair.found else "warn"
            _print(verdict, repair.name, repair.error or repair.says, repair.why if repair.found else None)

    done = asyncio.run(main())
    if not yes and any(repair.found for repair in done):
        say("nothing was changed; run it again with --yes to repair")
    raise typer.Exit(1 if any(repair.error for repair in done) else ExitCode.OK)


def _print(verdict: str, name: str, says: str, advice: str | None) -> None:
    from holdfast.cli.show import plain

    typer.secho(f"{verdict:<5}", fg=_colour(verdict), bold=verdict == "fail", nl=False)
    typer.echo(f"{name:<13} {plain(says)}")
    if advice:
        typer.echo(f"{'':<19}{advice}")


def _colour(verdict: str) -> str | None:
    return {"ok": "green", "warn": "yellow", "fail": "red"}.get(verdict)


def _fields(it: Any) -> dict[str, Any]:
    return {name: getattr(it, name) for name in it.__dataclass_fields__}


def _quiet() -> None:
    """The engine's log would stand between the lines of the report."""
    from holdfast.telemetry import logs

    logs.configure("ERROR", "console", "cli")
