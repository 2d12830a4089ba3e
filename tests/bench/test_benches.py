"""The benches run: in a small form, whose figures mean nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
SMALL = {
    "telemetry": (("--rounds", "2", "--jobs", "5"), "traced"),
    "ledger": (("--jobs", "500", "--rounds", "2", "--groups", "1"), "settle"),
}


@pytest.mark.parametrize("bench", SMALL)
def test_a_bench_reports(bench: str, services: dict[str, str]) -> None:
    arguments, measured = SMALL[bench]
    command = [sys.executable, "-m", f"bench.{bench}", *arguments]
    environment = os.environ | services | {"PYTHONPATH": str(TESTS)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert measured in done.stdout
