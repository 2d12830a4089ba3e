"""Write the tables of variables and outputs into the README of every module, from its .tf files.

    python terraform/generate.py            rewrite terraform/modules/*/README.md between the two marks
    python terraform/generate.py --check    change nothing; exit code 1 when a file is not what it would write

It reads files as `terraform fmt` leaves them: a block ends with a brace in the first column.
`tests/terraform/test_modules.py` keeps the files as this script writes them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

MODULES = Path(__file__).resolve().parent / "modules"
BEGIN, END = "<!-- interface: begin -->", "<!-- interface: end -->"
BLOCK = re.compile(r'^(variable|output) "([^"]+)" \{\n(.*?)^\}', re.S | re.M)
ARGUMENT = re.compile(r"^  (\w+) += (.*?)(?=^  \w+ += |^  \w+ \{|\Z|^$)", re.S | re.M)


def main() -> int:
    """Rewrite what is stale, or tell of it."""
    check = "--check" in sys.argv[1:]
    stale = {path: text for path, text in pages().items() if path.read_text() != text}
    for path, text in stale.items():
        sys.stdout.write(f"{'stale' if check else 'wrote'}: {path.relative_to(MODULES.parent)}\n")
        if not check:
            path.write_text(text)
    return 1 if check and stale else 0


def pages() -> dict[Path, str]:
    """What each README should say."""
    return {path: _with_tables(path) for path in sorted(MODULES.glob("*/README.md"))}


def blocks(module: Path, kind: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Name and arguments of the blocks of one kind, in the order of the files."""
    for path in sorted(module.glob("*.tf")):
        for match in BLOCK.finditer(path.read_text()):
            if match[1] == kind:
                yield match[2], {name: " ".join(value.split()) for name, value in ARGUMENT.findall(match[3])}


def _with_tables(path: Path) -> str:
    text = path.read_text()
    if BEGIN not in text or END not in text:
        raise SystemExit(f"{path} has no place for its tables: add the lines `{BEGIN}` and `{END}`")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return f"{before}{BEGIN}\n{_variables(path.parent)}\n{_outputs(path.parent)}{END}{after}"


def _variables(module: Path) -> str:
    lines = ["| variable | type | default | |", "|---|---|---|---|"]
    for name, said in blocks(module, "variable"):
        default = f"`{_cell(said['default'])}`" if "default" in said else "required"
        lines.append(f"| `{name}` | `{_cell(said['type'])}` | {default} | {_prose(said)} |")
    return "\n".join(lines) + "\n"


def _outputs(module: Path) -> str:
    lines = ["| output | |", "|---|---|"]
    lines += [f"| `{name}` | {_prose(said)} |" for name, said in blocks(module, "output")]
    return "\n".join(lines) + "\n"


def _prose(said: Mapping[str, str]) -> str:
    marks = [mark for mark in ("ephemeral", "sensitive") if said.get(mark) == "true"]
    return _cell(said["description"].strip('"').replace('\\"', '"')) + (f" ({', '.join(marks)})" if marks else "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    raise SystemExit(main())
