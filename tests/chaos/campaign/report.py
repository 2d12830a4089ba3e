"""The tables of a campaign: as JSON, on the screen, and in docs/reliability.md between two markers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .holdfast_side import Outcome
from .jitter import histogram
from .world import REPOSITORY

PAGE = REPOSITORY / "docs" / "reliability.md"
RESULTS = REPOSITORY / "docs" / "reliability.json"
PICTURE = REPOSITORY / "docs" / "images" / "jitter.svg"
Results = dict[str, Any]


def results(head: Mapping[str, Any], outcome: Outcome, jitter: Results | None, naive: Results) -> Results:
    """Everything, for the JSON file."""
    return {
        **head,
        "held": all(promise.held for promise in outcome.promises),
        "faults": outcome.faults,
        "faults that could not be injected": outcome.errors,
        "promises": [asdict(promise) | {"held": promise.held} for promise in outcome.promises],
        "figures": outcome.figures,
        "evidence": outcome.evidence,
        "jitter": jitter,
        "celery": naive,
    }


def markdown(found: Results) -> str:
    """The tables."""
    parts = [_head(found), _promises(found), _faults(found)]
    if found["celery"]:
        parts.append(_side_by_side(found))
    if found["jitter"]:
        parts.append(_jitter(found["jitter"]))
    return "\n\n".join(parts)


def save(found: Results, folder: Path, name: str = RESULTS.name) -> Path:
    """Write all of it as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    return file


def publish(found: Results) -> None:
    """Write the JSON without the single waits, the picture, and the tables between the markers."""
    jitter = found["jitter"]
    save(
        found | {"jitter": jitter and {name: value for name, value in jitter.items() if name != "waits"}},
        RESULTS.parent,
    )
    if jitter:
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_text(histogram(jitter["waits"]))
    insert("campaign", markdown(found))


def insert(marker: str, text: str) -> None:
    """Put the text between the two markers of that name on the page."""
    begin, end = f"<!-- {marker}: begin -->", f"<!-- {marker}: end -->"
    before, _, rest = PAGE.read_text().partition(begin)
    _, _, after = rest.partition(end)
    PAGE.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")


def promises(found: Iterable[Results]) -> list[tuple[str, str, str]]:
    """A row for each promise: what, how it was found, and whether it held."""
    return [
        (one["text"], one["measured"] or "-", "held" if one["held"] else f"**broken** ({len(one['offenders'])})")
        for one in found
    ]


def _head(found: Results) -> str:
    seconds = found["figures"]["seconds"]
    return (
        f"Measured on {found['date']} with `{found['command']}` (seed {found['seed']}), {found['machine']}: "
        f"{found['figures']['jobs accepted']:,} jobs, {sum(found['faults'].values())} faults in "
        f"{seconds['under faults']:.0f} s, all ended {seconds['until all had ended']:.0f} s later. "
        f"{'Every promise held.' if found['held'] else '**Not every promise held.**'}"
    )


def _promises(found: Results) -> str:
    rows = promises(found["promises"])
    figures = found["figures"]
    rows.append(
        (
            "webhooks delivered more than once (same `webhook-id`)",
            f"{figures['webhooks taken more than once']} of {figures['webhooks']} "
            f"({figures['extra deliveries']} extra deliveries)",
            "reported",
        )
    )
    rows.append(
        ("attempts whose ticket was handed out again", str(figures["attempts that were redelivered"]), "reported")
    )
    return table(("promise", "measured", "verdict"), rows)


def _faults(found: Results) -> str:
    after = found["figures"]["reposts after a fault"]
    rows = [(fault, times, after.get(fault, 0)) for fault, times in found["faults"].items()]
    rows.append(("all", sum(found["faults"].values()), ""))
    return table(("fault", "injected", "keys posted again within 5 s of one"), rows)


def _side_by_side(found: Results) -> str:
    figures, celery = found["figures"], found["celery"]
    columns = [celery["defaults"], celery["careful"]]
    lost = _broken(found, "every webhook arrived")
    anonymous = _broken(found, "a webhook that arrives again carries the same webhook-id")
    own_faults = sum(times for fault, times in found["faults"].items() if fault in columns[0]["faults"])
    rows: list[tuple[Any, ...]] = [
        ("webhooks accepted", *(f"{column['webhooks']:,}" for column in columns), f"{figures['webhooks']:,}"),
        (
            "worker and broker faults (of all faults)",
            *(f"{sum(c['faults'].values())} ({sum(c['faults'].values())})" for c in columns),
            f"{own_faults} ({sum(found['faults'].values())})",
        ),
        (
            "**accepted, never delivered**",
            *(f"**{column['lost']}**" for column in columns),
            f"**{lost}**",
        ),
        (
            "callers turned away with an error",
            *(c["could not be submitted"] for c in columns),
            f"{figures['could not be submitted']} ({figures['calls that had to go to the other api']} calls repeated)",
        ),
        (
            "delivered more than once",
            *(c["webhooks taken more than once"] for c in columns),
            figures["webhooks taken more than once"],
        ),
        (
            "**of these, not recognisable by an id**",
            *(f"**{c['webhooks taken more than once']}**" for c in columns),
            f"**{anonymous}**",
        ),
    ]
    return table(("", "Celery, defaults", "Celery, acks_late + reject_on_worker_lost + confirms", "Holdfast"), rows)


def _broken(found: Results, text: str) -> int:
    """How many speak against a promise."""
    return next(len(promise["offenders"]) for promise in found["promises"] if promise["text"] == text)


def _jitter(jitter: Results) -> str:
    names = ("failure to work queue", "failure to next attempt", "in the broker")
    rows = [(name, *(f"{jitter[name][at]:.3f}" for at in ("min", "p10", "p50", "p90", "max"))) for name in names]
    buckets = ", ".join(f"`{key}` {count}" for key, count in jitter["buckets"].items())
    return (
        f"{jitter['jobs']:,} jobs failed within {jitter['all failed within seconds']:.2f} s. Waits in seconds:\n\n"
        + table(("wait", "min", "p10", "p50", "p90", "max"), rows)
        + f"\n\nTickets by bucket: {buckets}.\n\n![Waits of the 2 s tier](images/jitter.svg)"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table of Markdown."""
    lines = [" | ".join(map(str, row)) for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(f"| {line} |" for line in lines)
