"""Entry point of `python3 infra/sandbox <command>`.

Python puts this very folder first on `sys.path`, where `platform.py` would hide the standard
library's module of that name; so the folder above takes its place before anything else is imported.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

if sys.version_info < (3, 11):  # noqa: UP036 (run before any installer could have checked)
    sys.exit(
        f"This is Python {sys.version_info.major}.{sys.version_info.minor}, the sandbox needs 3.11 or newer. "
        "Run it with a newer python3, or use Docker Compose (`docker compose up`)."
    )

from sandbox.cli import main  # noqa: E402 (the path above comes first)

if __name__ == "__main__":
    sys.exit(main())
