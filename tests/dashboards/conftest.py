"""The dashboards' own modules, and Prometheus' tools from the sandbox's packages."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from harness import Platform
from holdfast.settings import Settings
from monitoring import Absent, Monitoring, monitored, prometheus_tool

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "dashboards"))


@pytest.fixture(scope="session")
def promtool() -> str:
    """Prometheus' checker."""
    return _there(lambda: prometheus_tool("promtool"))


@pytest.fixture
def watched(own_settings: Settings, tmp_path: Path) -> Iterator[tuple[Platform, Monitoring]]:
    """A platform that nobody else uses, whose steward counts every second, under the real rules."""
    import prometheus_files

    _there(lambda: prometheus_tool("prometheus"))
    settings = own_settings.model_copy(update={"conserve_every": 1.0})
    platform = Platform(settings, tmp_path)
    try:
        for name in ("api", "worker-render", "worker-webhook"):
            platform.start(name)
        platform.wait_ready()
        rabbitmq = urlsplit(os.environ.get("HOLDFAST_RABBITMQ_PROMETHEUS_URL", "")).netloc
        with monitored(platform, tmp_path / "monitoring", prometheus_files.rules(interval="1s"), rabbitmq) as watching:
            yield platform, watching
    finally:
        platform.stop_all()


def _there(find: Callable[[], str]) -> str:
    try:
        return find()
    except Absent as absent:
        if os.environ.get("CI"):
            pytest.fail(str(absent))
        pytest.skip(str(absent))
