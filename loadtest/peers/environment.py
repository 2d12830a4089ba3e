"""The peers' own virtual environment, from a lock with hashes; made again when the lock has changed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
LOCK = HERE / "requirements.lock"


def ensure() -> Path:
    """Its folder of programs."""
    target = Path(os.environ.get("HOLDFAST_HOME") or REPOSITORY / ".holdfast") / "peers"
    stamp, wanted = target / ".stamp", hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        _uv("venv", "--clear", "--no-project", "--python", sys.executable, str(target))
        _uv("pip", "sync", "--python", str(target / "bin/python"), "--require-hashes", str(LOCK))
        stamp.write_text(wanted)
    return target / "bin"


def _uv(*arguments: str) -> None:
    subprocess.run(["python3", str(REPOSITORY / "infra" / "sandbox"), "uv", *arguments], check=True)
