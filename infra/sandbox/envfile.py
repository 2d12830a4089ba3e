"""The file that tells Holdfast where everything is: KEY=VALUE lines for sh, make and pydantic-settings alike.

Invariant: the file is replaced at once and is private (it holds passwords). A value is quoted only if a shell
would need it; the sandbox's own values never do.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from .home import write_private

_HEADER = "# Written by `python3 infra/sandbox up`. Load it with: set -a; . {path}; set +a\n"


def read(path: Path) -> dict[str, str]:
    """The values of the file; nothing when it does not exist."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {key: "".join(shlex.split(value)) for key, _, value in pairs}


def update(path: Path, values: Mapping[str, str | None]) -> None:
    """Set these values and keep the others; None removes one."""
    merged: dict[str, str | None] = {**read(path), **values}
    body = "".join(f"{key}={shlex.quote(value)}\n" for key, value in sorted(merged.items()) if value is not None)
    write_private(path, _HEADER.format(path=path) + body)
