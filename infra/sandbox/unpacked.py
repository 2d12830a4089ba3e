"""Debian packages unpacked into a folder of their own, for programs and libraries that run on the host itself.

Invariant: a folder is complete (its manifest is written last) or not there, and never changes after that, so several
homes can share it; nothing is installed on the host. The packages are those of the host's own suite, because they run
beside the host's C library, which is left out.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .apt import Apt, host_suite, package_version, unpack
from .errors import SandboxError
from .home import exclusive
from .progress import step

HOST = (
    *("libc6", "libc-bin", "libcrypt1", "libgcc", "gcc-", "libstdc++", "perl", "dpkg", "debconf", "tar_", "x11-"),
    *("adduser", "passwd", "init-system-helpers", "tzdata"),
)
"""What the host has in its own version, and what only the installation scripts need (beginnings of names)."""

_MANIFEST = "holdfast-manifest.json"


@dataclass(frozen=True)
class Packages:
    """What to unpack. `finish(partial, root)` completes the folder as it is now, with the paths that it will have."""

    title: str
    names: Sequence[str]
    without: Sequence[str] = ()
    """Beginnings of names that are not unpacked, besides HOST."""
    finish: Callable[[Path, Path], None] = lambda _partial, _root: None
    recipe: str = ""
    """Anything besides the names of which a change must make a new folder."""

    def folder(self, parent: Path, name: str) -> Path:
        """Where this content lies: another recipe, suite or machine has another folder."""
        text = json.dumps([list(self.names), list(self.without), self.recipe, os.uname().machine])
        return parent / f"{name}-{host_suite()}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def ensure(packages: Packages, root: Path) -> Path:
    """`root`, complete. Downloads the first time; later calls take no time and no network."""
    if not (root / _MANIFEST).exists():
        require_apt(f"{packages.title} is not there", packages.title)
        with exclusive(root.parent / f"{root.name.split('-')[0]}.lock"):
            if not (root / _MANIFEST).exists():  # another home may have built it while this one waited
                _build(packages, root)
    return root


def _build(packages: Packages, root: Path) -> None:
    partial = root.with_name(f"{root.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    apt = Apt(root.with_name(f"{root.name.split('-')[0]}-apt"))
    try:
        apt.update()
        leave = (*HOST, *packages.without)
        files = [file for file in apt.download(packages.names) if not file.name.startswith(leave)]
        with step(f"unpacked {packages.title} into {root}"):
            unpack(files, partial)
            packages.finish(partial, root)
            (partial / _MANIFEST).write_text(json.dumps(dict(map(package_version, files)), indent=2, sort_keys=True))
            shutil.rmtree(root, ignore_errors=True)
            partial.rename(root)
    finally:
        apt.clean()
        shutil.rmtree(partial, ignore_errors=True)


def require_apt(lack: str, instead: str) -> None:
    """Raise SandboxError, which begins with what is lacking, where there is no apt to fetch it with."""
    absent = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    if absent:
        raise SandboxError(
            lack,
            f"the sandbox can only fetch it on Debian and Ubuntu, and {' and '.join(absent)} is missing",
            f"Install {instead} with your system's package manager",
        )
