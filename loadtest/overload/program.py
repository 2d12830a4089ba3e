"""The program: run the phases, report, and end with exit code 1 when an accepted job was lost or the order was wrong.

Times are reported, and compared with what is promised; a machine that is busy with something else misses them, so they
decide nothing.
"""

from __future__ import annotations

import argparse
import os
import platform as machine
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from campaign.world import sandbox

from . import phases, report
from .h2load import Offered

FACTOR = 3
"""How many times what the machine sustains is offered."""


def main(argv: list[str] | None = None) -> int:
    """Run the phases that the arguments describe."""
    options = _parser().parse_args(argv)
    begun, before = time.monotonic(), os.getloadavg()[0]

    def say(line: str) -> None:
        print(f"[{time.monotonic() - begun:6.1f}] {line}", flush=True)

    say(f"load average {before:.2f}; for figures that mean something nothing else should run")
    with sandbox() as place:
        say(f"sandbox in {place.home}")
        place.run("h2load")
        program = place.addresses()["H2LOAD"]
        with phases.platform(place, "worker-webhook", shed_load=False) as running:
            load = phases.Generator(program, running.url)
            usual = load.quiet(running)
            say(f"quiet: median {usual:.1f} ms")
            base = load.sustained(options.seconds / 2)
            say(f"sustained: {base.accepted_rate:.0f}/s, p99 {base.accepted.p99:.0f} ms")
            rate = FACTOR * base.accepted_rate
            plain = load.overload(rate, options.seconds / 2)
            recovered_plain = phases.recovery(running.url, usual)
            say(f"{FACTOR} times as much, without shedding: {_line(plain)}; as usual {recovered_plain:.1f} s later")
            phases.audit(running, plain)
        with phases.platform(place, "worker-webhook") as running:
            load = phases.Generator(program, running.url)
            load.quiet(running)
            shed = load.overload(rate, options.seconds)
            recovered = phases.recovery(running.url, usual)
            say(f"with shedding: {_line(shed)}; as usual {recovered:.1f} s later")
            audit = phases.audit(running, shed)
            say(f"audit: {audit.accepted} accepted, all ended {audit.seconds:.1f} s later; held: {audit.held}")
        order = phases.order_of_refusal(place, options.bound)
        say(f"order of refusal: {order.first}; low accepted {order.recovered:.1f} s after a worker was there")
    found: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, Python {machine.python_version()}",
        "load average before": round(before, 2),
        "seconds": options.seconds,
        "quiet ms": usual,
        "sustained": _figures(base),
        "offered": round(rate),
        "with shedding": _figures(shed) | {"recovered after": recovered},
        "without shedding": _figures(plain) | {"recovered after": recovered_plain},
        "audit": asdict(audit) | {"held": audit.held},
        "order": asdict(order) | {"in order": order.in_order},
    }
    print(report.markdown(found))
    say(f"results in {report.save(found)}")
    if options.publish:
        report.publish(found)
    return 0 if audit.held and order.in_order else 1


def _line(offered: Offered) -> str:
    return (
        f"{offered.accepted_rate:.0f}/s accepted (p50 {offered.accepted.p50:.0f}, p99 {offered.accepted.p99:.0f} ms), "
        f"{offered.refused.count / offered.seconds:.0f}/s refused (p50 {offered.refused.p50:.1f}, "
        f"p99 {offered.refused.p99:.1f} ms), {offered.others} other answers, {offered.unsent} not sent"
    )


def _figures(offered: Offered) -> dict[str, Any]:
    return {
        "sent per second": offered.sent_rate,
        "accepted per second": offered.accepted_rate,
        "accepted": asdict(offered.accepted),
        "refused": asdict(offered.refused),
        "other answers": offered.others,
        "not sent": offered.unsent,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make overload", description="Offer three times what the machine sustains.")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the overload")
    parser.add_argument("--bound", type=int, default=1_200, help="of the queue that is filled to see who is refused")
    parser.add_argument("--publish", action="store_true", help="write docs/overload.json and docs/reliability.md")
    return parser
