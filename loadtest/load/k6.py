"""Run k6, and read what it saw.

Its binary comes with the Python package of the same name. It shares the machine with what it measures, which makes
every figure worse than on a machine of its own, never better. So that it takes no more than a part from the platform,
it runs on one core at a time; and its own pauses must not pass for the platform's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

K6 = Path(sys.executable).with_name("k6")
THRESHOLDS_CROSSED = 99
"""How k6 ends when all went well and a threshold was not met; its summary says which."""
UNDISTURBED = {"GOMAXPROCS": "1", "GOGC": "off", "GOMEMLIMIT": "4GiB"}
"""At most one core, whichever is free, and no collection of garbage before there are 4 GiB: with Go's usual settings
one began every 0.9 s and took 0.2 s on a busy core, in which hardly a request was sent or an answer read."""


def run(script: Path, given: dict[str, Any], within: float) -> tuple[dict[str, Any], list[list[str]]]:
    """Run a script with `given` as its environment: its metrics, and the words of each line that it logged."""
    with tempfile.TemporaryDirectory() as folder:
        printed = Path(folder) / "console"
        done = subprocess.run(
            [K6, "run", "--quiet", "--no-usage-report", "--log-format", "raw", "--console-output", printed]
            + [argument for name, value in given.items() for argument in ("-e", f"{name}={value}")]
            + [script],
            env=os.environ | {"K6_NO_COLOR": "true"} | UNDISTURBED,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
            start_new_session=True,
        )
        if done.returncode not in {0, THRESHOLDS_CROSSED}:
            raise RuntimeError(f"k6 ended with {done.returncode}: {done.stderr[-2000:]}")
        return json.loads(done.stdout), [line.split() for line in printed.read_text().splitlines()]
