"""Tables in Markdown, and the blocks between markers that they fill."""

from __future__ import annotations

import re
from collections.abc import Sequence


def filled(text: str, pattern: re.Pattern[str], block: str) -> str:
    """The text with `block` between the two markers; a function, because the block may hold backslashes."""

    def between(match: re.Match[str]) -> str:
        return f"{match[1]}\n{block}\n{match[2]}"

    return pattern.sub(between, text)


def table(head: Sequence[str], rows: Sequence[str]) -> str:
    """The table with that head, of rows that `row` has made."""
    return "\n".join([row(head), row(["---"] * len(head)), *rows]) + "\n"


def row(cells: Sequence[str]) -> str:
    """One line of a table."""
    return f"| {' | '.join(cells)} |"
