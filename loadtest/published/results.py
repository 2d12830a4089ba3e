"""The files in docs/performance: what was measured, as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
PUBLISHED = REPOSITORY / "docs" / "performance"
Results = dict[str, Any]


def read(name: str) -> Results | None:
    """What was published under this name; None: nothing yet."""
    file = PUBLISHED / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else None


def save(found: Results, folder: Path, name: str) -> Path:
    """Write it as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return file


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def number(value: float) -> str:
    """Three digits that matter."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def measured(found: Results) -> str:
    """When, how and where."""
    busy = f", load average {found['load']:g} before it" if "load" in found else ""
    return f"Measured on {found['date']} with `{found['command']}`, {found['machine']}{busy}."
