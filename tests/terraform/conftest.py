"""Both environments against one stand-in, side by side and once for all tests that ask."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import terraform_cli
from lifecycle import Lifecycle, what_must_be_there
from planned import Planned
from standin.running import StandIn, running
from terraform_cli import Absent

ENVIRONMENTS = ("dev", "production")
MINUTES = pytest.StashKey[list[str]]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """An apply takes minutes on a busy machine. The modules' tests come first: meanwhile the environments are made."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.timeout(2400))
    first = {item for item in here if item.path.name == "test_modules.py"}
    items.sort(key=lambda item: item not in first)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how long each step took."""
    lines = config.stash.get(MINUTES, [])
    if lines:
        terminalreporter.section("terraform against the stand-in")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def terraform_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `terraform/`, to which Terraform may write; skips, or fails in CI, where there is no Terraform."""
    try:
        terraform_cli.terraform()
    except Absent as absent:
        missing(absent)
    return terraform_cli.copy(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="session")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """AWS, as far as it goes."""
    with running(tmp_path_factory.mktemp("standin")) as there:
        yield there


@pytest.fixture(scope="session")
def lifecycles(terraform_tree: Path, standin: StandIn, pytestconfig: pytest.Config) -> dict[str, Lifecycle]:
    """The life of both environments, begun."""
    lines = pytestconfig.stash.setdefault(MINUTES, [])
    began = time.monotonic()

    def say(text: str) -> None:
        lines.append(f"{time.monotonic() - began:4.0f} s  {text}")
        if pytestconfig.getoption("capture") == "no":
            print(lines[-1], flush=True)

    certificate = what_must_be_there(standin)
    lives = {name: Lifecycle(name, standin, certificate, terraform_tree, say) for name in ENVIRONMENTS}
    for life in lives.values():
        life.start()
    return lives


@pytest.fixture(scope="session", params=ENVIRONMENTS)
def environment(request: pytest.FixtureRequest) -> str:
    """Name of an environment."""
    return str(request.param)


@pytest.fixture(scope="session")
def life(environment: str, lifecycles: dict[str, Lifecycle]) -> Lifecycle:
    """The life of that environment."""
    return lifecycles[environment]


@pytest.fixture(scope="session")
def plan(life: Lifecycle) -> dict[str, Any]:
    """The second plan: the first cannot know ARNs, and so containers, yet."""
    try:
        return dict(life.result("plan again"))
    except Absent as absent:
        missing(absent)


@pytest.fixture(scope="session")
def planned(plan: dict[str, Any]) -> Planned:
    """What the second plan says will be there."""
    return Planned(plan)


def missing(absent: Absent) -> Any:
    """What is not on this machine skips on a laptop and fails in CI."""
    if os.environ.get("CI"):
        pytest.fail(str(absent))
    pytest.skip(str(absent))
