"""The tables of an overload: as JSON, on the screen, and in docs/reliability.md between two markers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "reliability.md"
RESULTS = REPOSITORY / "docs" / "overload.json"
OUT = REPOSITORY / "out" / "overload"
BEGIN, END = "<!-- overload: begin -->", "<!-- overload: end -->"
PROMISED = {"accepted": 50, "refused": 10}
"""Milliseconds that the 99th percentile should stay under."""
Results = dict[str, Any]


def markdown(found: Results) -> str:
    """The tables."""
    return "\n\n".join([_head(found), _load(found), _order(found)])


def save(found: Results, folder: Path = OUT) -> Path:
    """Write all of it as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / RESULTS.name
    file.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    return file


def publish(found: Results) -> None:
    """Write the JSON, and the tables between the markers."""
    save(found, RESULTS.parent)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{markdown(found)}\n\n{END}{after}")


def _head(found: Results) -> str:
    base, audit = found["sustained"], found["audit"]
    lost = audit["missing"] + audit["open"]
    return (
        f"Measured on {found['date']} with `make overload`, {found['machine']}, load average "
        f"{found['load average before']:.2f} before it began. An answer takes {found['quiet ms']:.1f} ms when nothing "
        f"else happens, and the api sustains {base['accepted per second']:.0f} jobs a second (p99 "
        f"{base['accepted']['p99']:.0f} ms) while a worker runs them. Offered were {found['offered']:,} a second for "
        f"{found['seconds']:.0f} s. Of {audit['accepted']:,} accepted jobs **{lost}** were lost; the last had ended "
        f"{audit['seconds']:.1f} s after the load; {audit['unwanted']} refused ones were in the ledger. "
        f"{_verdict(found['with shedding'])}"
    )


def _verdict(column: Results) -> str:
    """Which of the promises of time held, by what was measured."""
    broken = [
        f"{name} took {column[name]['p99']:.0f} ms at p99, more than {most}"
        for name, most in PROMISED.items()
        if column[name]["p99"] >= most
    ]
    return f"**Not held: {'; '.join(broken)}.**" if broken else "Both promises of time held."


def _load(found: Results) -> str:
    columns = [found["with shedding"], found["without shedding"]]
    rows: list[tuple[str, ...]] = [("accepted, a second", *(f"{it['accepted per second']:.0f}" for it in columns))]
    for name, most in PROMISED.items():
        rows.append((f"{name}: p50", *(_ms(it[name], "p50") for it in columns)))
        rows.append((f"{name}: p99 (promised: under {most} ms)", *(_ms(it[name], "p99") for it in columns)))
    rows.append(("refused, a second", *(f"{it['refused']['count'] / _lasting(it):.0f}" for it in columns)))
    rows.append(("other answers, or none in 15 s", *(f"{it['other answers']:,}" for it in columns)))
    rows.append(("not sent, for all 300 callers waited", *(f"{it['not sent']:,}" for it in columns)))
    rows.append(("as quick as before, after the load", *(_seconds(it["recovered after"]) for it in columns)))
    return _table(("three times what it sustains", "with shedding", "without"), rows)


def _order(found: Results) -> str:
    order = found["order"]
    rows = [(name, f"{it['ready']:,}", f"{it['seconds']:.1f} s") for name, it in order["first"].items()]
    text = (
        f"A queue with room for {order['bound']:,} jobs, filled with urgent ones while no worker runs. RabbitMQ counts "
        f"it every five seconds. {order['recovered']:.1f} s after a worker was there, `low` was accepted again."
    )
    return f"{text}\n\n{_table(('priority', 'jobs that waited at its first refusal', 'after'), rows)}"


def _ms(times: Results, name: str) -> str:
    return f"{times[name]:.1f} ms" if times["count"] else "–"


def _seconds(value: float) -> str:
    return "not within 30 s" if value == float("inf") else f"{value:.1f} s"


def _lasting(column: Results) -> float:
    return max(column["accepted"]["count"] / max(column["accepted per second"], 1e-9), 1e-9)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [" | ".join(row) for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(f"| {line} |" for line in lines)
