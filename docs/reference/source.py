"""What the source of a class says of its attributes: their order, their groups, and the text below each."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Attribute:
    """One annotated attribute of a class, as its source has it."""

    name: str
    group: str
    text: str


def attributes(model: type[Any]) -> Iterator[Attribute]:
    """The annotated attributes in the order of the source, each with its group (a comment) and the text below it."""
    source = textwrap.dedent(inspect.getsource(model))
    lines = source.splitlines()
    body = next(node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    for position, node in enumerate(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield Attribute(node.target.id, _group(lines, node.lineno - 1), _text_below(body, position))


def meaning(model: type[Any], attribute: Attribute, said: Mapping[str, str]) -> str:
    """What the attribute is for; it must be said below it, or in `said` as `Class.attribute`."""
    text = said.get(f"{model.__name__}.{attribute.name}") or attribute.text
    if not text:
        raise SystemExit(f"{model.__name__}.{attribute.name} has no meaning: put a text below it")
    return text


def _group(lines: Sequence[str], index: int) -> str:
    """The comment that opens the paragraph of source around line `index`, without what follows its first full stop."""
    while index > 0 and lines[index - 1].strip():
        index -= 1
    opening = lines[index].strip()
    return opening.removeprefix("# ").partition(".")[0] if opening.startswith("# ") else "General"


def _text_below(body: Sequence[ast.stmt], position: int) -> str:
    after = body[position + 1] if position + 1 < len(body) else None
    if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
        return " ".join(after.value.value.split())
    return ""
