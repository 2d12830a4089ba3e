"""`data.pipeline`: each source, each step, and what is not rows."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from conftest import NewContext, serving
from pydantic import ValidationError

from holdfast.domain.attempt import Succeeded
from holdfast.domain.errors import Rejected
from holdfast.ports.handler import Context
from holdfast_demo_kinds.data_pipeline import DataPipeline, Format, Pipeline, parse

CSV = b"\xef\xbb\xbfid,city,price,note\r\n1,Bonn,9.5,\r\n2,K\xc3\xb6ln,20,=x\r\n3,Bonn,0.5,007a\r\n"


def pipeline(transform: list[dict[str, Any]], form: str = "csv", **source: Any) -> Pipeline:
    return Pipeline.model_validate(
        {"extract": source or {"upload": str(uuid4())}, "format": form, "transform": transform}
    )


async def written(context: Context) -> list[dict[str, Any]]:
    data = await context.artifacts.get(context.saved[0].key)
    return [json.loads(line) for line in data.splitlines()]


async def test_rows_of_a_url_are_filtered_renamed_grouped_and_written(new_context: NewContext) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CSV) + CSV)

    steps: list[dict[str, Any]] = [
        {"step": "filter", "column": "price", "compare": ">=", "value": 0.5},
        {"step": "rename", "columns": {"city": "town"}},
        {"step": "select", "columns": ["town", "price"]},
        {"step": "aggregate", "by": ["town"], "measures": [{"column": "price", "operation": "sum"}]},
    ]
    context = new_context("data.pipeline")
    async with serving(answer) as port:
        outcome = await DataPipeline().run(context, pipeline(steps, url=f"http://127.0.0.1:{port}/rows.csv"))
    assert isinstance(outcome, Succeeded)
    assert outcome.result == {"rows_read": 3, "rows_written": 2, "steps": 4}
    assert await written(context) == [{"town": "Bonn", "price_sum": 10.0}, {"town": "Köln", "price_sum": 20.0}]


async def test_pipelines_chain_by_artifacts(new_context: NewContext) -> None:
    first = new_context("data.pipeline")
    upload = uuid4()
    await first.artifacts.put(f"uploads/acme/{upload}", CSV, "text/csv")
    await DataPipeline().run(first, pipeline([{"step": "select", "columns": ["id"]}], upload=str(upload)))
    second = new_context("data.pipeline", attempt=2, finds=tuple(first.saved))
    source = {"job_id": str(first.job_id), "name": "rows.ndjson"}
    only = {"step": "filter", "column": "id", "compare": "==", "value": 3}
    await DataPipeline().run(second, pipeline([only], "ndjson", artifact=source))
    assert await written(second) == [{"id": 3}]


def test_csv_cells_become_numbers_only_when_they_are_written_as_numbers() -> None:
    rows = parse(b"a,b,c,d,e,f\n1,-2.5,007,1e3,true,\n", Format.CSV)
    assert rows == [{"a": 1, "b": -2.5, "c": "007", "d": 1000.0, "e": "true", "f": None}]


def test_a_comparison_across_types_passes_nothing() -> None:
    step = pipeline([{"step": "filter", "column": "a", "compare": "<", "value": "x"}]).transform[0]
    assert step.apply([{"a": 1}, {"a": None}, {"a": "b"}]) == [{"a": "b"}]


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (b"{}", Format.JSON),
        (b"[1]", Format.JSON),
        (b'[{"a": {}}]', Format.JSON),
        (b"[", Format.JSON),
        (b'{"a": 1}\n{', Format.NDJSON),
        (b"a,b\n1,2,3\n", Format.CSV),
        (b'a\n"open', Format.CSV),
        (b"\xff\xfe", Format.CSV),
    ],
)
def test_what_is_not_rows_is_rejected(data: bytes, form: Format) -> None:
    with pytest.raises(Rejected) as refused:
        parse(data, form)
    assert refused.value.error == "NotParseable"


@pytest.mark.parametrize(
    "step",
    [
        {},
        {"step": "select"},
        {"step": "eval", "code": "1"},
        {"step": "filter", "column": "a", "compare": "in", "value": 1},
    ],
)
def test_a_step_that_is_not_in_the_set_is_refused_at_submit(step: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        pipeline([step])
