"""The tables of a measurement: as JSON, on the screen, and in docs/reliability.md between two markers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from campaign.audit import Promise
from campaign.report import insert, promises, save, table
from campaign.world import REPOSITORY

from .figures import Figures, healthy, latencies, per_second, percentile, sick
from .plot import picture
from .run import BASELINE, Run

DOCS = REPOSITORY / "docs"
FILE = "sick.json"
PICTURE = DOCS / "images" / "sick.svg"
HEADS = {
    "holdfast baseline": "Holdfast, no sick host",
    "holdfast refusing": "Holdfast, it answers 503",
    "holdfast hanging": "Holdfast, it hangs",
    "celery baseline": "Celery, no sick host",
    "celery refusing": "Celery, it answers 503",
    "celery hanging": "Celery, it hangs",
}
ROWS = {
    "calls while it was sick": "calls to the sick host while it was sick",
    "most calls at once while it was sick": "slots that it held at most (of 32)",
    "calls after the trip": "calls after the trip",
    "probe budget": "probe budget",
    "failed attempts": "attempts spent on failures",
    "parked attempts": "attempts parked, at no cost",
    "lost": "**accepted, never delivered**",
    "delivered more than once": "delivered more than once",
    "first call after the healing": "seconds from the healing to the first call",
    "seconds from the healing to the last delivery": "seconds from the healing to the last delivery",
    "most calls within a second after the healing": "most calls within a second after the healing",
}


def entry(run: Run, own: Figures) -> Figures:
    """One run for the JSON file; `own` is what its side knows of it. Times are seconds since its begin."""
    by_second: defaultdict[int, list[float]] = defaultdict(list)
    for due, wait in latencies(run):
        by_second[int(due)].append(wait)
    return {
        "healthy": healthy(run),
        "sick": sick(run) | own if run.host else None,
        "refused": len(run.refused),
        "healed at": round(run.healed - run.begun, 1),
        "p95 by second": [(second, round(percentile(sorted(waits), 95), 1)) for second, waits in by_second.items()],
        "calls by second": list(per_second(run.at_sick, run.begun).items()),
    }


def results(runs: Mapping[str, Figures], targets: Sequence[Promise]) -> Figures:
    """Everything that was measured, for the JSON file."""
    return {
        "held": all(target.held for target in targets),
        "promises": [asdict(target) | {"held": target.held} for target in targets],
        "runs": dict(runs),
    }


def markdown(found: Figures) -> str:
    """The tables."""
    head = (
        f"Measured on {found['date']} with `{found['command']}`, {found['machine']}: {found['jobs']:,} webhooks "
        f"to each host, {found['rate']:g} a second to each; load average before it {found['load']:g}. "
        f"{'Every target was met.' if found['held'] else '**Not every target was met.**'}"
    )
    return "\n\n".join(
        [head, table(("target", "measured", "verdict"), promises(found["promises"])), _side_by_side(found)]
    )


def keep(found: Figures, folder: Path) -> Path:
    """Write all of it as JSON, and the picture beside it."""
    file = save(found, folder, FILE)
    (folder / PICTURE.name).write_text(picture(found["runs"]))
    return file


def publish(found: Figures) -> None:
    """Write the JSON, the picture, and the tables between the markers."""
    save(found, DOCS, FILE)
    PICTURE.write_text(picture(found["runs"]))
    image = f"![Healthy webhooks, and calls to the sick host](images/{PICTURE.name})"
    insert("sick", f"{markdown(found)}\n\n{image}\n\nAll figures are in [{FILE}]({FILE}).")


def _side_by_side(found: Figures) -> str:
    runs = found["runs"]
    columns = [name for name in HEADS if name in runs]
    rows: list[tuple[Any, ...]] = [
        (f"healthy webhooks, accepted to delivered, {share}", *(_ms(runs[name]["healthy"][share]) for name in columns))
        for share in ("p50", "p95", "p99")
    ]
    rows.append(("posting: due to accepted, p95", *(_ms(runs[name]["healthy"]["posting p95"]) for name in columns)))
    rows.append(("**p95, relative to no sick host**", *(_relative(runs, name) for name in columns)))
    for key, text in ROWS.items():
        rows.append((text, *(_cell((runs[name]["sick"] or {}).get(key)) for name in columns)))
    return table(("", *(HEADS[name] for name in columns)), rows)


def _relative(runs: Mapping[str, Figures], name: str) -> str:
    side, sickness = name.split()
    alone = runs[f"{side} {BASELINE}"]
    if sickness == BASELINE:
        return "–"
    ratio = runs[name]["healthy"]["p95"] / alone["healthy"]["p95"]
    return f"**{100 * (ratio - 1):+.0f} %**" if ratio < 10 else f"**{ratio:,.0f} times**"


def _ms(value: float) -> str:
    return f"{value:.0f} ms" if value < 10_000 else f"{value / 1000:.1f} s"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else str(value)
