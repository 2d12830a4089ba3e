"""The command line as a script would call it, against the fake api."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import typer
from fake_holdfast_api import Cli, FakeApi
from typer.testing import CliRunner, Result

from holdfast.cli import dlq, main, watch


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    with FakeApi() as api:
        monkeypatch.setenv("HOLDFAST_API_URL", api.url)
        monkeypatch.delenv("HOLDFAST_API_KEY", raising=False)
        monkeypatch.setattr(watch, "INTERVAL", 0.01)
        yield api


def _runner(app: typer.Typer) -> Cli:
    def call(*arguments: str, input: str | None = None) -> Result:
        result = CliRunner().invoke(app, list(arguments), input=input)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


@pytest.fixture
def holdfast() -> Cli:
    return _runner(main.app)


@pytest.fixture
def dlq_tool() -> Cli:
    return _runner(dlq.app)
