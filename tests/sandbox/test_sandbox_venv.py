"""The venv maker: what it takes from pip's settings, when it does nothing, what it says when it cannot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandbox import venv
from sandbox.errors import SandboxError
from sandbox.home import Home


def test_pip_settings_are_passed_on_in_the_words_of_uv() -> None:
    pip = {
        "index-url": "https://a/simple",
        "extra-index-url": "file:///b file:///c",
        "find-links": "/d /e",
        "cert": "/f",
    }
    settings = venv.uv_settings(pip, {})
    assert settings["UV_DEFAULT_INDEX"] == "https://a/simple"
    assert settings["UV_INDEX"] == "file:///b file:///c"
    assert settings["UV_FIND_LINKS"] == "/d,/e"
    assert settings["SSL_CERT_FILE"] == "/f"
    assert settings["UV_INDEX_STRATEGY"] == "unsafe-best-match"


def test_what_the_environment_tells_uv_is_left_alone() -> None:
    settings = venv.uv_settings(
        {"index-url": "https://a/simple", "cert": "/f"}, {"UV_DEFAULT_INDEX": "b", "SSL_CERT_FILE": "c"}
    )
    assert "UV_DEFAULT_INDEX" not in settings
    assert "SSL_CERT_FILE" not in settings
    assert "UV_INDEX_STRATEGY" not in settings


def test_no_python_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="Set HOLDFAST_PYTHON"):
        venv.find_python({"PATH": str(tmp_path)})


def test_an_old_python_is_a_clear_error(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\necho 3.9.2\n")
    old.chmod(0o755)
    with pytest.raises(SandboxError, match=r"is Python 3\.9\.2\. Holdfast needs 3\.11"):
        venv.find_python({"HOLDFAST_PYTHON": str(old), "PATH": ""})


def test_an_unchanged_venv_costs_nothing_and_a_changed_lock_is_noticed(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, target = tmp_path / "project", tmp_path / "venv"
    project.mkdir()
    (project / venv.LOCK).write_text("a==1\n")
    (project / venv.PROJECT).write_text("")
    (target / "bin").mkdir(parents=True)
    (target / "bin" / "python").touch()
    (target / venv.STAMP).write_text(venv._stamp(project, venv.find_python(os.environ)))

    def not_now(*_: object) -> None:
        raise AssertionError("looked for pip")

    monkeypatch.setattr(venv, "find_pip", not_now)
    venv.make(home, project, target)
    (project / venv.LOCK).write_text("a==2\n")
    with pytest.raises(AssertionError, match="looked for pip"):
        venv.make(home, project, target)


def test_a_missing_lock_is_named(home: Home, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"requirements\.lock does not exist"):
        venv.make(home, tmp_path, tmp_path / "venv")
