"""Terraform on a copy of `terraform/`, so that nothing it writes lands in the tree.

The provider comes from a mirror on this machine where there is one, else from the registry, into a cache below
`.holdfast`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
LEAST = (1, 11)
MIRRORS = ("registry.terraform.io", "*/registry.terraform.io", "*/*/registry.terraform.io")
ROOTS = ("/opt", "/srv", "/usr/local/share", "/usr/share", "/usr/local/lib", "/usr/lib", "/var/lib")
"""Where a machine's plugin mirror may lie, up to two folders deep, besides the home folder's `.terraform.d`."""

_initialising = threading.Lock()  # a plugin cache may be filled by one process at a time


class Absent(Exception):
    """What is needed is not on this machine; the text says what to do."""


class Failed(AssertionError):
    """A command of Terraform failed; the text has what it said."""


def terraform() -> str:
    """Path of Terraform, new enough."""
    found = shutil.which("terraform")
    if found is None:
        raise Absent("terraform is not on PATH: install Terraform 1.11 or newer")
    said = subprocess.run([found, "version", "-json"], capture_output=True, text=True, check=True, timeout=60).stdout
    version = json.loads(said)["terraform_version"]
    if tuple(map(int, version.split(".")[:2])) < LEAST:
        raise Absent(f"terraform {version} is too old: install Terraform 1.11 or newer")
    return found


def mirror() -> Path | None:
    """The folder that holds a `registry.terraform.io` with the AWS provider, or None."""
    for root in (Path.home() / ".terraform.d", *map(Path, ROOTS)):
        for pattern in MIRRORS:
            for found in sorted(root.glob(pattern)):
                if (found / "hashicorp" / "aws").is_dir():
                    return found.parent
    return None


def copy(into: Path) -> Path:
    """A copy of the repository's `terraform/`, without what earlier runs left."""
    target = into / "terraform"
    shutil.copytree(REPOSITORY / "terraform", target, ignore=shutil.ignore_patterns(".terraform", "*.tfstate*"))
    return target


@dataclass(frozen=True)
class Terraform:
    """Terraform in one folder of a copy."""

    folder: Path
    environment: Mapping[str, str]
    program: str

    @classmethod
    def at(cls, folder: Path, environment: Mapping[str, str] | None = None) -> Terraform:
        """Prepare it; raises Absent where Terraform is not to be had."""
        configuration = folder / "cli.tfrc"
        configuration.write_text(_configuration(mirror()))
        own = {
            "TF_CLI_CONFIG_FILE": str(configuration),
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
            "CHECKPOINT_DISABLE": "1",
        }
        return cls(folder, {**(os.environ if environment is None else environment), **own}, terraform())

    def init(self, *options: str) -> None:
        """`terraform init`, from the mirror or the registry."""
        with _initialising:
            try:
                self.run("init", *options, timeout=900)
            except Failed as failed:
                if re.search(r"(?i)query (available|provider)|provider registry", str(failed)):
                    raise Absent(f"there is neither a plugin mirror nor a registry: {failed}") from failed
                raise

    def run(self, *arguments: str, timeout: float = 1500, codes: Sequence[int] = (0,)) -> str:
        """What it wrote; raises Failed on any exit code but `codes`."""
        plain = () if arguments[0] == "state" else ("-no-color",)
        argv = [self.program, arguments[0], *plain, *arguments[1:]]
        done = subprocess.run(
            argv,
            cwd=self.folder,
            env=dict(self.environment),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode not in codes:
            said = (done.stderr or done.stdout).strip()
            raise Failed(
                f"`terraform {' '.join(arguments)}` in {self.folder.name} ended with {done.returncode}:\n{said}"
            )
        return done.stdout

    def shown(self, plan: str) -> dict[str, Any]:
        """A saved plan as `terraform show -json` tells it."""
        return dict(json.loads(self.run("show", "-json", plan)))


def _configuration(found: Path | None) -> str:
    if found is not None:
        return f'provider_installation {{\n  filesystem_mirror {{\n    path = "{found}"\n  }}\n}}\n'
    cache = REPOSITORY / ".holdfast" / "terraform-plugins"
    cache.mkdir(parents=True, exist_ok=True)
    return f'plugin_cache_dir = "{cache}"\n'
