"""`data.pipeline`: extract rows from a source, transform them step by step, load them as an artifact.

The input may be the artifact of another job, so pipelines can be chained: each leaves newline-delimited JSON, which
the next one reads.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterator, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar

import orjson
from pydantic import BaseModel, ConfigDict, Field

from holdfast.domain.attempt import Outcome, Succeeded
from holdfast.domain.errors import Rejected
from holdfast.handlers.source import Source, load
from holdfast.ports.handler import DEFAULT_POLICY, Context
from holdfast_demo_kinds.steps import Step
from holdfast_demo_kinds.table import Cell, Row

MAX_ROWS = 200_000


class Format(StrEnum):
    """What the source holds. The cells of a CSV that look like numbers become numbers."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"


class Pipeline(BaseModel):
    """Extract, transform, load."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    extract: Source
    format: Format
    transform: Annotated[list[Step], Field(max_length=20)] = Field(default_factory=list)
    load: Annotated[str, Field(pattern=r"^[\w-]+\.ndjson$", max_length=100)] = "rows.ndjson"
    """The name of the artifact."""


class DataPipeline:
    """Reads a source (a URL, an upload, or another job's artifact) and leaves NDJSON."""

    kind: ClassVar = "data.pipeline"
    queue: ClassVar = "custom"
    Payload: ClassVar = Pipeline
    policy: ClassVar = DEFAULT_POLICY
    time_limit: ClassVar = timedelta(minutes=3)

    async def run(self, context: Context, payload: Pipeline) -> Outcome:
        """The three stages; parsing and steps in a thread, so that the worker's event loop stays free."""
        data = await load(context, payload.extract)
        read, rows = await asyncio.to_thread(_transformed, data, payload)
        await context.save(payload.load, b"".join(orjson.dumps(row) + b"\n" for row in rows), "application/x-ndjson")
        return Succeeded({"rows_read": read, "rows_written": len(rows), "steps": len(payload.transform)})


def _transformed(data: bytes, payload: Pipeline) -> tuple[int, Sequence[Row]]:
    rows = parse(data, payload.format)
    read = len(rows)
    for step in payload.transform:
        rows = step.apply(rows)
    return read, rows


def parse(data: bytes, form: Format) -> list[Row]:
    """The rows of the source; Rejected says where it is not what it should be."""
    rows: list[Row] = []
    try:
        for row in _PARSERS[form](data):
            rows.append(_checked(row, len(rows) + 1))
            if len(rows) > MAX_ROWS:
                raise Rejected(f"the source has more than {MAX_ROWS} rows; split it", error="TooManyRows")
    except (orjson.JSONDecodeError, csv.Error, UnicodeDecodeError) as error:
        raise Rejected(f"the source is not {form}: row {len(rows) + 1}: {error}", error="NotParseable") from None
    return rows


def _json(data: bytes) -> Iterator[Any]:
    parsed = orjson.loads(data)
    if not isinstance(parsed, list):
        raise Rejected("the source is JSON, but not a list of objects", error="NotParseable")
    yield from parsed


def _ndjson(data: bytes) -> Iterator[Any]:
    return (orjson.loads(line) for line in data.splitlines() if line.strip())


def _csv(data: bytes) -> Iterator[Any]:
    reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
    return ({column: _cell(text) for column, text in row.items()} for row in reader)


_PARSERS = {Format.JSON: _json, Format.NDJSON: _ndjson, Format.CSV: _csv}


def _cell(text: Any) -> Cell:
    """A number when it is written as JSON writes one, empty when empty, else the text."""
    if not isinstance(text, str) or not text:
        return None
    if text.lstrip("-")[:1].isdigit():
        try:
            number = orjson.loads(text)
        except orjson.JSONDecodeError:
            return text
        return number if isinstance(number, int | float) else text
    return text


def _checked(row: Any, number: int) -> Row:
    flat = isinstance(row, dict) and all(
        isinstance(name, str) and (cell is None or isinstance(cell, str | int | float)) for name, cell in row.items()
    )
    if not flat:
        raise Rejected(f"row {number} of the source is not a flat object of plain values", error="NotParseable")
    return dict(row)
