"""The documentation says what the code does: generated pages are current, links lead somewhere, examples are valid,
and every name that a person may look up is there."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from holdfast.cli.dlq import app as dlq_tool
from holdfast.cli.main import app as holdfast
from holdfast.domain.dead_letter import DeadReason
from holdfast.handlers.registry import installed

REPOSITORY = Path(__file__).resolve().parents[2]
SERVICES = REPOSITORY / "services" / "holdfast"
DOCS = REPOSITORY / "docs"
RUNBOOKS = sorted((REPOSITORY / "runbooks").glob("*.md"))
PAGES = sorted([REPOSITORY / "README.md", *DOCS.rglob("*.md"), *RUNBOOKS, REPOSITORY / "dashboards" / "README.md"])
HANDLERS = DOCS / "guides" / "handlers.md"
TROUBLESHOOTING = DOCS / "guides" / "troubleshooting.md"

FENCED = re.compile(r"^```([^\n]*)\n(.*?)^```", re.S | re.M)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"`([\w./-]+/[\w.-]+\.(?:py|md|toml|yml|conf|json))`")


def test_generated_pages_are_as_the_script_writes_them() -> None:
    script = [sys.executable, str(DOCS / "generate.py"), "--check"]
    checked = subprocess.run(script, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for match in LINK.finditer(_prose(page)):
        target = match[1] or match[2]
        if re.match(r"[a-z][a-z+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        place = (page.parent / name).resolve() if name else page
        if not place.exists() or (anchor and place.suffix == ".md" and anchor not in _anchors(place)):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_file_and_test_that_is_named_exists(page: Path) -> None:
    text = _prose(page)
    files = [name for name in PATH.findall(text) if not any((base / name).exists() for base in (REPOSITORY, SERVICES))]
    tests = set(re.findall(r"def (test_\w+)", "\n".join(path.read_text() for path in _python(REPOSITORY / "tests"))))
    missing = {name for name in re.findall(r"`(test_\w+)`", text) if name not in tests}
    assert not files and not missing


def test_every_tagged_example_fits_its_kind() -> None:
    kinds = installed()
    seen = set()
    for tag, body in (block for page in PAGES for block in FENCED.findall(page.read_text())):
        language, _, kind = tag.strip().partition(" ")
        if language == "json" and kind:
            kinds.get(kind).Payload.model_validate(json.loads(body))
            seen.add(kind)
    assert seen == {"image.transform", "pdf.render", "webhook.dispatch", "custom.noop"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_json_block_is_json(page: Path) -> None:
    for tag, body in FENCED.findall(page.read_text()):
        if tag.strip().startswith("json"):
            json.loads(body)


def test_every_command_that_is_shown_exists_with_its_options() -> None:
    apps = {"holdfast": holdfast, "dlq-tool": dlq_tool}
    shown = [line for page in PAGES for tag, body in FENCED.findall(page.read_text()) for line in _commands(tag, body)]
    inline = [line for page in RUNBOOKS for line in re.findall(r"`((?:holdfast|dlq-tool) [^`]+)`", _prose(page))]
    assert shown and inline
    for line in (*shown, *inline):
        words = shlex.split(line, comments=True)
        command = typer.main.get_command(apps[words[0]])
        for word in words[1:]:
            children = getattr(command, "commands", {})
            if word in children:
                command = children[word]
            elif children:
                pytest.fail(f"{line!r}: there is no command {word!r}")
            elif word.startswith("--"):
                options = {option for parameter in command.params for option in parameter.opts}
                assert word in options, f"{line!r}: there is no option {word}"


def test_troubleshooting_names_every_problem() -> None:
    assert set(_problems()) - _rows("Problems") == set()


def test_troubleshooting_names_every_reason_and_no_other() -> None:
    assert _rows("Reasons") == {reason.value for reason in DeadReason}


def test_troubleshooting_names_every_failure() -> None:
    named = _rows("Failures")
    assert set(_failures()) - named == set()


def test_the_index_lists_every_decision() -> None:
    records = {path.name for path in (DOCS / "adr").glob("[0-9]*.md")}
    assert set(re.findall(r"\(([0-9]{4}-[^)]+)\)", (DOCS / "adr" / "README.md").read_text())) == records


def test_every_decision_has_the_sections_of_the_template() -> None:
    for path in (DOCS / "adr").glob("[0-9]*.md"):
        sections = re.findall(r"^## (.+)$", path.read_text(), re.M)
        assert sections == ["Context", "Decision", "Consequences"], path.name


def _prose(page: Path) -> str:
    return FENCED.sub("", page.read_text())


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", _prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _commands(tag: str, body: str) -> Iterator[str]:
    if tag.strip() == "console":
        for line in body.replace("\\\n", " ").splitlines():
            if re.match(r"\$ (holdfast|dlq-tool) ", line):
                yield line.removeprefix("$ ")


def _rows(section: str) -> set[str]:
    """What the first columns of a section's tables name."""
    text = TROUBLESHOOTING.read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def _python(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def _calls(folder: Path) -> Iterator[tuple[str, ast.Call]]:
    for path in _python(folder):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield ast.unparse(node.func).rpartition(".")[2], node


def _problems() -> Iterator[str]:
    """The second argument of every `Problem(status, kind, …)`, and the kind of every `invalid(…)`."""
    yield "invalid-request"
    for name, call in _calls(SERVICES / "api"):
        if name == "Problem" and len(call.args) > 1 and isinstance(call.args[1], ast.Constant):
            yield str(call.args[1].value)
        for keyword in call.keywords:
            if name == "invalid" and keyword.arg == "kind" and isinstance(keyword.value, ast.Constant):
                yield str(keyword.value.value)


def _failures() -> Iterator[str]:
    """Names of handler errors: their classes, `error=` of those that are raised, and the second field of Failure."""
    bases = {"HandlerError", "Rejected", "TryLater"}
    for path in _python(SERVICES):
        for node in ast.walk(ast.parse(path.read_text())):
            # Unreachable is never raised without a name of its own.
            if isinstance(node, ast.ClassDef) and node.name not in bases | {"Unreachable"}:
                yield from {node.name} if bases & {ast.unparse(base) for base in node.bases} else ()
    for name, call in _calls(SERVICES):
        if name == "Failure" and len(call.args) > 1 and isinstance(call.args[1], ast.Constant):
            yield str(call.args[1].value)
        for keyword in call.keywords:
            if (
                keyword.arg == "error"
                and isinstance(keyword.value, ast.Constant)
                and isinstance(keyword.value.value, str)
            ):
                yield keyword.value.value
