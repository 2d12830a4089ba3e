"""The console's files are complete, and its libraries are those that were pinned."""

from __future__ import annotations

import hashlib
import re

from holdfast.api.console import FOLDER

VENDOR = FOLDER / "vendor"


def test_the_libraries_are_as_they_were_fetched() -> None:
    wanted = dict(line.split()[::-1] for line in (VENDOR / "SHA256SUMS").read_text().splitlines())
    found = {f"./{path.name}": hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.glob("*.js")}
    assert found == wanted


def test_every_module_that_is_imported_is_there() -> None:
    for path in FOLDER.rglob("*.js"):
        for name in re.findall(r'(?:^|;)(?:im|ex)port[^;]*?from ?"([^"]+)"', path.read_text(), re.M):
            assert name.startswith("./"), f"{path.name} imports {name}, which would need a build or another host"
            assert (path.parent / name).is_file(), f"{path.name} imports {name}, which is not there"


def test_nothing_in_the_page_names_another_host() -> None:
    for path in [*FOLDER.glob("*.js"), *FOLDER.glob("*.css"), FOLDER / "index.html"]:
        for url in re.findall(r"https?://[^\s\"'`]+", path.read_text()):
            raise AssertionError(f"{path.name} names {url}")
