"""Spans of the engine, in memory; and that nothing is made of them while nobody asks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

import pytest
from engine_world import World, ticket
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from holdfast.domain.attempt import Outcome, Succeeded
from holdfast.domain.envelope import Hints, first_ticket
from holdfast.domain.errors import TryLater
from holdfast.domain.trace_context import sound, trace_id
from holdfast.telemetry import spans, tracing
from ledger_world import make_job

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = "00-" + "a" * 32 + "-00f067aa0ba902b7-01"
Made = Callable[[], list[ReadableSpan]]


@pytest.fixture
def made() -> Iterator[Made]:
    """Tracing, on; call it for the spans that have ended."""
    exporter = InMemorySpanExporter()
    tracing.export(exporter, "test")

    def flushed() -> list[ReadableSpan]:
        assert tracing._provider is not None
        tracing._provider.force_flush()
        return list(exporter.get_finished_spans())

    yield flushed
    tracing.stop()


@pytest.fixture
def world() -> World:
    return World()


def parent(span: ReadableSpan) -> str | None:
    return f"{span.parent.span_id:016x}" if span.parent else None


def own(span: ReadableSpan) -> str:
    return f"{span.context.span_id:016x}"


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, False),
        ({"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, False),
    ],
)
def test_the_standard_variables_ask_for_traces(environment: Mapping[str, str], asked: bool) -> None:
    assert tracing.wanted(environment) is asked


def test_nothing_of_the_sdk_is_loaded_while_nobody_asks() -> None:
    code = "import sys, holdfast.telemetry.tracing as t; t.start('api'); print('opentelemetry.sdk' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={})
    assert ended.stdout == "False\n"


def test_while_tracing_is_off_the_callers_place_is_handed_on_as_it_came() -> None:
    with tracing.carrying(CALLER), tracing.span("x") as nothing:
        assert (nothing, tracing.here()) == (None, CALLER)
    with tracing.carrying("junk\r\nx: y"):
        assert tracing.here() is None


UNSOUND = ["", "junk", CALLER.upper(), "00-" + "0" * 32 + CALLER[35:], CALLER + "-x", "ff" + CALLER[2:]]


@pytest.mark.parametrize("header", UNSOUND)
def test_what_is_no_traceparent_begins_a_new_trace(header: str, made: Made) -> None:
    assert (sound(header), trace_id(header)) == (None, None)
    with tracing.span("x", parent=header):
        pass
    assert made()[0].parent is None


async def test_an_attempt_and_its_retry_hang_together_by_the_messages(world: World, made: Made) -> None:
    async def once_not(context: object, _: object) -> Outcome:
        if len(world.echo.contexts) == 1:
            raise TryLater("not yet")
        return Succeeded({})

    world.echo.act = once_not
    await world.accepted(traceparent=CALLER)
    for number in (0, 1):
        message = world.broker.published[number]
        hints = Hints(traceparent=message.traceparent, ready_at=message.enqueued_at)
        await world.execute.execute(ticket(message), hints)
    found = {(span.name, span.attributes and span.attributes.get("holdfast.job.attempt")): span for span in made()}
    first, second = found["publish holdfast.jobs", 1], found["publish holdfast.retry", 2]
    attempt, again = found["process holdfast.image", 1], found["process holdfast.image", 2]
    assert parent(first) == CALLER.split("-")[2]
    assert [parent(span) for span in (attempt, second, again)] == [own(first), own(attempt), own(second)]
    assert parent(found["wait holdfast.image", 1]) == own(first)
    assert (attempt.attributes or {})["error.type"] == "TryLater"
    assert {span.context.trace_id for span in found.values()} == {int(trace_id(CALLER) or "", 16)}


async def test_what_the_steward_publishes_stays_in_the_trace_of_its_job(world: World, made: Made) -> None:
    job = await world.accepted(traceparent=CALLER, delay=timedelta(seconds=1))
    world.clock.time += timedelta(seconds=2)
    await world.dispatch.send_all(await world.ledger.promote(1))
    (published,) = (span for span in made() if span.name == "publish holdfast.jobs")
    assert (parent(published), job.traceparent) == (CALLER.split("-")[2], CALLER)


def test_a_ticket_of_another_job_is_not_drawn_into_the_trace_of_this_one(made: Made) -> None:
    job = make_job(traceparent=OTHER)
    with tracing.span("attempt", parent=CALLER), spans.publishing(first_ticket(job, job.created_at)) as sent:
        assert trace_id(sent.traceparent) == trace_id(OTHER)
    assert {trace_id(CALLER), trace_id(OTHER)} == {f"{span.context.trace_id:032x}" for span in made()}
