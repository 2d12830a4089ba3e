"""A photograph of 12 megapixels, upright, 800 pixels wide, JPEG at quality 80: by both, round by round.

Ours runs the very function that a render child runs for an `image.transform` job. Each takes its turns in a process of
its own, after one picture that does not count; the order changes with each round. sharp comes from the npm registry,
in a pinned version, into the sandbox's folder.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from assets import photograph
from campaign.program import clock, head
from campaign.world import REPOSITORY

from holdfast.handlers.image.engine import transform
from holdfast.handlers.image.payload import Variant
from holdfast.ports.limits import Limits
from published.pages import publish
from published.results import save

SHARP = "0.35.5"
OUT = Path("out") / "image"
WIDTH = 800
Figures = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the arguments describe; with `--ours FILE TIMES`, be one turn of ours."""
    options = _parser().parse_args(argv)
    if options.ours:
        print(json.dumps(ours(Path(options.ours[0]), int(options.ours[1]))))
        return 0
    if not shutil.which("npm"):
        print("npm is not installed, so there is no sharp to compare with: install Node.js", file=sys.stderr)
        return 2
    say, load = clock(), round(os.getloadavg()[0], 1)
    installed = _sharp()
    say(f"sharp {SHARP} is in {installed}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "photograph.jpg"
        file.write_bytes(photograph())
        commands = {
            "ours": [sys.executable, "-m", "pictures", "--ours", str(file)],
            "sharp": ["node", str(Path(__file__).with_name("sharp.mjs")), str(installed), str(file)],
        }
        rounds: list[Figures] = []
        for number in range(options.rounds):
            names = list(commands) if number % 2 else list(reversed(commands))
            found = {name: _turn([*commands[name], str(options.pictures)]) for name in names}
            rounds.append(found)
            say(f"round {number + 1}: " + ", ".join(f"{name} {found[name]['ms']:.1f} ms" for name in commands))
    each = {name: round(median(found[name]["ms"] for found in rounds), 2) for name in commands}
    ratios = sorted(found["ours"]["ms"] / found["sharp"]["ms"] for found in rounds)
    results = head("bench-image") | {
        "load": load,
        "sharp": SHARP,
        "cpu ms": each,
        "bytes": {name: rounds[-1][name]["bytes"] for name in commands},
        "ratio": round(median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
    }
    say(f"ours takes {results['ratio']:.2f} times the CPU of sharp; results in {save(results, OUT, 'image')}")
    if options.publish:
        publish({"image": results})
    return 0


def ours(file: Path, times: int) -> Figures:
    """CPU of one picture by our engine, in milliseconds, and the size of the result."""
    names = ("pixels", "frames", "scans", "total_pixels", "memory")
    caps = {name: getattr(Limits(), f"image_{name}") for name in names}
    variant = Variant(name="small", width=WIDTH, format="jpeg").model_dump()
    request = {"source": file.read_bytes(), "variants": [variant], "limits": caps}
    transform(request)
    before = time.process_time()
    for _ in range(times):
        made = transform(request)
    spent = time.process_time() - before
    data = made["variants"][0]["data"]
    file.with_suffix(".ours.jpg").write_bytes(data)
    return {"ms": 1000 * spent / times, "bytes": len(data)}


def _turn(command: Sequence[str]) -> Figures:
    found: Figures = json.loads(subprocess.check_output(command, timeout=120))
    return found


def _sharp() -> Path:
    """Its folder."""
    folder = Path(os.environ.get("HOLDFAST_HOME") or REPOSITORY / ".holdfast") / f"sharp-{SHARP}"
    if not (folder / "node_modules" / "sharp").exists():
        folder.mkdir(parents=True, exist_ok=True)
        options = ("--no-audit", "--no-fund", "--no-save", "--silent")
        subprocess.run(["npm", "install", "--prefix", str(folder), *options, f"sharp@{SHARP}"], check=True, timeout=300)
    return folder


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench-image", description="Our image engine beside sharp.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pictures", type=int, default=20, help="of each turn")
    parser.add_argument("--publish", action="store_true", help="write docs/performance/ and docs/performance.md")
    parser.add_argument("--ours", nargs=2, help=argparse.SUPPRESS)
    return parser
