"""The sandbox runs before any venv exists, so it is no part of the installed package: import it from where it lies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / name) for name in ("infra", "loadtest", "tests/chaos")]

from sandbox.home import Home  # noqa: E402 (the path above comes first)


class Cli:
    """`python3 infra/sandbox …` as a person runs it, on a home of the test's own.

    Nothing of Holdfast in the caller's environment reaches it.
    """

    def __init__(self, home: Home) -> None:
        self.home = home

    def __call__(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
        return subprocess.run(
            [sys.executable, str(REPOSITORY / "infra" / "sandbox"), *arguments],
            env={**inherited, "HOLDFAST_HOME": str(self.home.root), **environ},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", tmp_path / "home" / "cache")


@pytest.fixture
def cli(home: Home) -> Cli:
    return Cli(home)


@pytest.fixture
def ended() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes to end after the test."""
    children: list[subprocess.Popen[bytes]] = []
    yield children
    for child in children:
        child.kill()
        child.wait()
