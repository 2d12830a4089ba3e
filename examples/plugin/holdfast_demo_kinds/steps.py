"""What a pipeline can do with rows: a small closed set, each step pure and validated before the job is accepted.

No expressions and no templates: a payload is data, and data that is run as code is somebody else's code.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from holdfast_demo_kinds.table import Cell, Column, Measure, Row, aggregate

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


class _Step(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Select(_Step):
    """Keep these columns, in this order."""

    step: Literal["select"]
    columns: Annotated[list[Column], Field(min_length=1, max_length=100)]

    def apply(self, rows: list[Row]) -> list[Row]:
        """Missing cells stay empty."""
        return [{column: row.get(column) for column in self.columns} for row in rows]


class Filter(_Step):
    """Keep the rows whose cell compares so. A cell of another type than `value` never does, except for `!=`."""

    step: Literal["filter"]
    column: Column
    compare: Literal["==", "!=", "<", "<=", ">", ">="]
    value: Cell

    def apply(self, rows: list[Row]) -> list[Row]:
        """The rows that pass."""
        return [row for row in rows if self._passes(row.get(self.column))]

    def _passes(self, cell: Cell) -> bool:
        try:
            return _COMPARE[self.compare](cell, self.value)
        except TypeError:
            return False


class Rename(_Step):
    """Rename columns: `{"old": "new"}`."""

    step: Literal["rename"]
    columns: Annotated[dict[Column, Column], Field(min_length=1, max_length=100)]

    def apply(self, rows: list[Row]) -> list[Row]:
        """Columns that are not named keep their names."""
        return [{self.columns.get(column, column): cell for column, cell in row.items()} for row in rows]


class Aggregate(_Step):
    """One row for each group."""

    step: Literal["aggregate"]
    by: Annotated[list[Column], Field(max_length=5)]
    measures: Annotated[list[Measure], Field(min_length=1, max_length=20)]

    def apply(self, rows: list[Row]) -> list[Row]:
        """The groups, in the order of their first rows."""
        return aggregate(rows, self.by, self.measures)


Step = Annotated[Select | Filter | Rename | Aggregate, Field(discriminator="step")]
