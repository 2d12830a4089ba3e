"""Every module is formatted, told by its README, and does what its own tests say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from lifecycle import Lifecycle
from terraform_cli import REPOSITORY, Absent, Terraform

TREE = REPOSITORY / "terraform"
MODULES = sorted(path.parent for path in TREE.glob("modules/*/versions.tf"))
TESTED = sorted({path.parents[1] for path in TREE.glob("modules/*/tests/*.tftest.hcl")})


def test_files_are_formatted(terraform_tree: Path) -> None:
    assert Terraform.at(terraform_tree).run("fmt", "-check", "-recursive", "-list=true") == ""


def test_readmes_tell_what_modules_take_and_give() -> None:
    stale = [
        str(path.relative_to(REPOSITORY)) for path, text in _generator().pages().items() if path.read_text() != text
    ]
    assert not stale, f"run `python terraform/generate.py`: {stale}"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_a_module_has_what_it_promises(module: Path) -> None:
    said = dict(_generator().blocks(module, "variable"))
    assert (module / "README.md").exists()
    assert all(variable.get("type") and len(variable.get("description", "")) > 10 for variable in said.values())
    assert all(output.get("description") for _, output in _generator().blocks(module, "output"))
    assert any("validation" in path.read_text() for path in module.glob("*.tf")) or module.name in {"migration"}


@pytest.mark.parametrize("module", TESTED, ids=lambda module: module.name)
def test_a_module_does_what_its_tests_say(module: Path, terraform_tree: Path, lifecycles: dict[str, Lifecycle]) -> None:
    """While the environments are under way, which mostly wait for AWS."""
    terraform = Terraform.at(terraform_tree / "modules" / module.name)
    try:
        terraform.init("-backend=false")
    except Absent as absent:
        pytest.skip(str(absent))
    assert "Success!" in terraform.run("test")


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("terraform_generate", TREE / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
