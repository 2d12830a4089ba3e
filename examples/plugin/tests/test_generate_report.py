"""`report.generate`: groups, totals, and files that a spreadsheet opens safely."""

from __future__ import annotations

import csv
import io
import json

import pytest
from conftest import NewContext

from holdfast.domain.attempt import Succeeded
from holdfast.domain.errors import Rejected
from holdfast_demo_kinds.generate_report import GenerateReport, Report

ROWS = [
    {"region": "north", "amount": 10, "cost": 0.1},
    {"region": "south", "amount": 5, "cost": 0.2},
    {"region": "north", "amount": 2, "cost": None},
]
SUM = {"column": "amount", "operation": "sum"}


def report(**changes: object) -> Report:
    mean = {"column": "cost", "operation": "mean"}
    plain = {"title": "Sales", "rows": ROWS, "group_by": ["region"], "measures": [SUM, mean]}
    return Report.model_validate(plain | changes)


async def test_a_report_is_a_csv_of_groups_and_a_summary_of_totals(new_context: NewContext) -> None:
    context = new_context("report.generate")
    outcome = await GenerateReport().run(context, report())
    assert isinstance(outcome, Succeeded)
    table, summary = [await context.artifacts.get(artifact.key) for artifact in context.saved]
    assert [artifact.name for artifact in context.saved] == ["report.csv", "summary.json"]
    assert table == b"region,amount_sum,cost_mean\r\nnorth,12.0,0.1\r\nsouth,5.0,0.2\r\n"
    assert json.loads(summary)["largest"] == {"region": "north", "amount_sum": 12.0, "cost_mean": 0.1}
    assert outcome.result["totals"] == pytest.approx({"amount_sum": 17.0, "cost_mean": 0.15})
    assert outcome.result["groups"] == 2


async def test_a_retry_writes_the_same_bytes(new_context: NewContext) -> None:
    first, second = new_context("report.generate"), new_context("report.generate", attempt=2)
    for context in (first, second):
        await GenerateReport().run(context, report())
    assert [a.sha256 for a in first.saved] == [a.sha256 for a in second.saved]


async def test_text_that_looks_like_a_formula_is_defused(new_context: NewContext) -> None:
    context = new_context("report.generate")
    rows = [{"region": "=cmd|' /C calc'!A0", "amount": -1}, {"region": '@SUM("x")', "amount": 1}]
    await GenerateReport().run(context, report(rows=rows, measures=[SUM]))
    table = (await context.artifacts.get(context.saved[0].key)).decode()
    lines = list(csv.reader(io.StringIO(table)))
    assert lines[1:] == [["'=cmd|' /C calc'!A0", "-1.0"], ['\'@SUM("x")', "1.0"]]


async def test_a_sum_over_text_is_rejected_with_the_column(new_context: NewContext) -> None:
    with pytest.raises(Rejected, match="'amount' contains 'ten'"):
        await GenerateReport().run(new_context("report.generate"), report(rows=[{"region": "x", "amount": "ten"}]))
