"""The headless Chromium of the sandbox: one path is all that anybody has to know, and it is fetched only when asked."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import chromium, envfile, unpacked
from sandbox.errors import SandboxError
from sandbox.home import Home

SHARED_CACHE = Home.from_environment(os.environ).cache
"""The packages of the developer's own sandbox; downloaded there if it has none yet."""

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
def test_the_program_is_named_in_the_env_file_and_runs_by_its_path_alone(cli: Cli, home: Home, tmp_path: Path) -> None:
    fetched = cli("chromium", HOLDFAST_SANDBOX_CACHE=str(SHARED_CACHE))
    assert fetched.returncode == 0, fetched.stderr
    program = envfile.read(home.env_file)[chromium.VARIABLE]
    assert f"Chromium is at {program}" in fetched.stdout
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    page = subprocess.run(
        [program, "--headless", *sandbox, f"--user-data-dir={tmp_path}", "--dump-dom", "data:text/html,<p>afloat"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )
    assert "<p>afloat</p>" in page.stdout, page.stderr


@pytest.mark.slow
def test_a_complete_folder_needs_no_network(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Home(home.root, SHARED_CACHE)
    program = chromium.ensure(shared)
    monkeypatch.setattr(unpacked, "_build", lambda packages, root: pytest.fail("it downloads again"))
    assert chromium.ensure(shared) == program


def test_a_machine_without_apt_is_told_what_to_install(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError, match=r"Chromium is not there.*apt-get and dpkg-deb is missing.*Install Chromium"):
        chromium.ensure(home)
