"""`report.generate`: rows in, a CSV and a JSON summary out.

The results are artifacts: the API hands them out as links, and other jobs take them as sources.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, ClassVar

import orjson
from pydantic import BaseModel, ConfigDict, Field

from holdfast.domain.attempt import Outcome, Succeeded
from holdfast.ports.handler import DEFAULT_POLICY, Context
from holdfast_demo_kinds.table import Cell, Column, Measure, aggregate, to_csv


class Report(BaseModel):
    """Rows, and how to group and sum them up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: Annotated[str, Field(min_length=1, max_length=200)]
    rows: Annotated[list[dict[Column, Cell]], Field(min_length=1, max_length=50_000)] = Field(repr=False)
    group_by: Annotated[list[Column], Field(max_length=5)] = Field(default_factory=list)
    measures: Annotated[list[Measure], Field(min_length=1, max_length=20)]


class GenerateReport:
    """Writes `report.csv` (one line for each group) and `summary.json` (the totals)."""

    kind: ClassVar = "report.generate"
    queue: ClassVar = "custom"
    Payload: ClassVar = Report
    policy: ClassVar = DEFAULT_POLICY
    time_limit: ClassVar = timedelta(minutes=2)

    async def run(self, context: Context, payload: Report) -> Outcome:
        """Compute in a thread, so that the worker's event loop stays free; then save both files."""
        table, summary = await asyncio.to_thread(_report, payload, context.created_at.isoformat())
        await context.save("report.csv", table, "text/csv; charset=utf-8")
        await context.save("summary.json", orjson.dumps(summary, option=orjson.OPT_INDENT_2), "application/json")
        return Succeeded({"rows": summary["rows"], "groups": summary["groups"], "totals": summary["totals"]})


def _report(report: Report, requested_at: str) -> tuple[bytes, dict[str, Any]]:
    groups = aggregate(report.rows, report.group_by, report.measures)
    totals = aggregate(report.rows, (), report.measures)[0]
    summary = {
        "title": report.title,
        "requested_at": requested_at,
        "rows": len(report.rows),
        "groups": len(groups),
        "group_by": report.group_by,
        "totals": totals,
        "largest": _largest(groups, report.measures),
    }
    return to_csv(groups), summary


def _largest(groups: Sequence[dict[str, Cell]], measures: Sequence[Measure]) -> dict[str, Cell]:
    """The group that leads by the first measure."""
    column = f"{measures[0].column}_{measures[0].operation}"

    def rank(group: dict[str, Cell]) -> float:
        value = group[column]
        return float(value) if isinstance(value, int | float) else float("-inf")

    return max(groups, key=rank)
