"""How long to fuzz, and from where: `--seconds` for each fuzz and `--seed`; short and always the same in the suite."""

from __future__ import annotations

import pytest

SECONDS, SEED = 12.0, 20_260_417


def pytest_addoption(parser: pytest.Parser) -> None:
    """Known only when this folder is asked for by name, as `make fuzz` does."""
    parser.addoption("--seconds", type=float, default=SECONDS, help="how long each fuzz runs (default: 12)")
    parser.addoption("--seed", type=int, default=SEED, help="where its random numbers begin")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A fuzz may take its time and a minute to end."""
    for item in items:
        if item.path.parent.name == "fuzz":
            item.add_marker(pytest.mark.timeout(config.getoption("--seconds", default=SECONDS) + 60))


@pytest.fixture
def seconds(pytestconfig: pytest.Config) -> float:
    """How long this fuzz is to run."""
    given: float = pytestconfig.getoption("--seconds", default=SECONDS)
    return given


@pytest.fixture
def endless(seconds: float) -> bool:
    """Whether nothing but the time ends it; the suite's runs are to try the same on a fast machine as on a slow one."""
    return seconds != SECONDS


@pytest.fixture
def fuzz_seed(pytestconfig: pytest.Config) -> int:
    """Where its random numbers begin."""
    given: int = pytestconfig.getoption("--seed", default=SEED)
    return given
