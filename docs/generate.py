"""Write what the documentation can take from the code: every setting, and every field of the built-in payloads.

    python docs/generate.py            rewrite guides/configuration.md, the tables of the guides to handlers and to
                                       hostile input, and the figures of performance.md and of the README
    python docs/generate.py --check    change nothing; exit code 1 when a file is not what it would write

Names, defaults and bounds come from the classes as they are imported, meanings from the text below each attribute
(`reference/`).
`tests/architecture/test_docs.py` keeps the files as this script writes them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from holdfast.telemetry.exposition import documented
from holdfast.telemetry.families import Label
from reference.configuration import configuration
from reference.payloads import handlers
from reference.table import filled, row, table

DOCS = Path(__file__).resolve().parent
METRICS = DOCS / "metrics.md"
CONFIGURATION = DOCS / "guides" / "configuration.md"
HANDLERS = DOCS / "guides" / "handlers.md"
HOSTILE = DOCS / "guides" / "hostile-input.md"


def main(arguments: Sequence[str]) -> int:
    """Write the files, or with `--check` say which differ."""
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text() != text]
    if "--check" in arguments:
        for path in stale:
            sys.stderr.write(f"{path.relative_to(DOCS.parent)} is out of date: run `python docs/generate.py`\n")
        return 1 if stale else 0
    for path in stale:
        path.write_text(pages()[path])
    return 0


def pages() -> dict[Path, str]:
    """Every file that this script writes, with its text."""
    return {
        CONFIGURATION: configuration(),
        HANDLERS: handlers(HANDLERS.read_text()),
        METRICS: metrics(METRICS.read_text()),
        HOSTILE: hostile(HOSTILE.read_text()),
        **performance(),
    }


def metrics(text: str) -> str:
    """`metrics.md` with its table written anew: every metric that a process of ours tells of itself."""
    rows = [
        row([f"`{it.name}`", it.type, "<br>".join(map(_label, it.labels)) or "–", ", ".join(sorted(it.by)), it.text])
        for it in documented()
    ]
    block = table(["metric", "type", "labels", "told by", "meaning"], rows)
    return filled(text, re.compile(r"(<!-- metrics -->\n).*?(<!-- end -->)", re.S), block)


def _label(label: Label) -> str:
    values = label.said or ", ".join(f"`{value}`" for value in label.values())
    return f"**{label.name}**: {values}{', or `other`' * label.open}"


def hostile(text: str) -> str:
    """`hostile-input.md` with its table of the corpus written anew."""
    sys.path.insert(0, str(DOCS.parent / "tests"))
    from corpus.generate import families

    listed = list(families())
    rows = [row([family, str(count), ", ".join(f"`{name}`" for name in names)]) for family, count, names in listed]
    total = f"{sum(count for _, count, _ in listed)} inputs.\n\n"
    block = total + table(["family", "inputs", "what becomes of them"], rows)
    return filled(text, re.compile(r"(<!-- families -->\n).*?(<!-- end -->)", re.S), block)


def performance() -> dict[Path, str]:
    """The pages and pictures that loadtest/published makes of the results in docs/performance/."""
    sys.path[:0] = [str(DOCS.parent / name) for name in ("loadtest", "tests/chaos")]
    from published.pages import pages

    return pages()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
