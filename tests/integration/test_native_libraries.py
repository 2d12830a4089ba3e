"""The private Pango of the sandbox: WeasyPrint loads it, and libvips goes on working beside it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast.adapters.isolation.pool import SubprocessIsolation

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "infra"))

from sandbox import native, unpacked  # noqa: E402 (the path above comes first)
from sandbox.errors import SandboxError  # noqa: E402


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    if shutil.which("apt-get") is None:
        pytest.skip("no apt here")
    try:
        return native.ensure(tmp_path_factory.mktemp("home"), force=True)
    except SandboxError as error:
        if "CI" in os.environ:
            raise
        pytest.skip(f"no Debian packages here: {error}")


def test_a_host_that_has_everything_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "missing", lambda: [])
    assert native.ensure(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_complete_folder_needs_no_network(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacked, "_build", lambda packages, root: pytest.fail("it downloads again"))
    home = Path(variables["FONTCONFIG_FILE"]).parents[1]
    assert native.ensure(home, force=True) == variables


def test_one_child_renders_with_the_private_pango_and_with_libvips(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))

    async def main() -> Any:
        isolation = SubprocessIsolation(max_children=1)
        try:
            return await isolation.call(
                "isolation_targets:draw_text_with_both_engines",
                {},
                timeout=timedelta(seconds=30),
                memory=1024**3,
            )
        finally:
            await isolation.close()

    found = asyncio.run(main())
    root = str(Path(variables["FONTCONFIG_FILE"]).parent)
    assert {name: path for name, path in found["libraries"].items() if not path.startswith(root)} == {}
    assert set(found["libraries"]) == {
        "libpango-1.0",
        "libpangoft2-1.0",
        "libharfbuzz-subset",
        "libharfbuzz",
        "libglib-2.0",
    }
    assert "Liberation" in found["font"]
    assert found["ink"] > 10
