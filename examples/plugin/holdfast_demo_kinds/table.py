"""Rows, and the two things done with them in more than one kind: aggregation and CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from holdfast.domain.errors import Rejected

Cell = str | int | float | bool | None
Row = dict[str, Cell]
Column = Annotated[str, Field(min_length=1, max_length=100)]


class Operation(StrEnum):
    """How the values of a group become one."""

    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"


class Measure(BaseModel):
    """`{"column": "amount", "operation": "sum"}` gives the column `amount_sum`. Empty cells are left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: Column
    operation: Operation


_REDUCE: dict[Operation, Callable[[list[float]], float]] = {
    Operation.SUM: math.fsum,
    Operation.MEAN: lambda values: math.fsum(values) / len(values),
    Operation.MIN: min,
    Operation.MAX: max,
}


def aggregate(rows: Iterable[Row], by: Sequence[str], measures: Sequence[Measure]) -> list[Row]:
    """One row for each group, in the order in which the groups first appear."""
    groups: dict[tuple[Cell, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(column) for column in by), []).append(row)
    return [
        dict(zip(by, key, strict=True)) | {f"{m.column}_{m.operation}": _reduced(members, m) for m in measures}
        for key, members in groups.items()
    ]


def _reduced(rows: Sequence[Row], measure: Measure) -> Cell:
    cells = [cell for row in rows if (cell := row.get(measure.column)) is not None]
    if measure.operation is Operation.COUNT:
        return len(cells)
    numbers: list[float] = []
    for cell in cells:
        if isinstance(cell, bool | str):
            raise Rejected(
                f"{measure.operation} needs numbers, but the column {measure.column!r} contains {str(cell)[:50]!r}",
                error="NotANumber",
            )
        numbers.append(cell)
    return _REDUCE[measure.operation](numbers) if numbers else None


def to_csv(rows: Sequence[Row]) -> bytes:
    """CSV (RFC 4180) with the columns in the order of their first appearance."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([_harmless(column) for column in columns])
    writer.writerows([_harmless(row.get(column)) for column in columns] for row in rows)
    return text.getvalue().encode()


def _harmless(cell: Cell) -> Cell:
    """Text that a spreadsheet would run as a formula gets an apostrophe (OWASP, CSV injection)."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in {"=", "+", "-", "@", "\t", "\r"} else cell
