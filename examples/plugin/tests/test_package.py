"""What makes the four classes handlers."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path

from holdfast.handlers.registry import ENTRY_POINTS, Registry


def test_every_entry_point_names_a_handler_that_holdfast_registers() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    handlers = []
    for target in project["entry-points"][ENTRY_POINTS].values():
        module, _, name = target.partition(":")
        handlers.append(getattr(import_module(module), name)())
    registry = Registry(handlers)
    assert [handler.kind for handler in registry.all()] == [
        "data.pipeline", "email.send", "payment.process", "report.generate",
    ]  # fmt: skip
    for handler in registry.all():
        assert handler.queue == "custom"
        assert handler.Payload.model_config["extra"] == "forbid"
        assert handler.Payload.model_json_schema()
