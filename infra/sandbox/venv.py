"""Make `.venv` from `requirements.lock`, on a machine that may have neither pip nor ensurepip.

    python -> (some pip) -> pinned uv -> .venv -> locked packages -> Holdfast itself, editable

Invariant: a stamp of everything that decides the content (lock, pyproject, interpreter, uv) is written last, so
an unchanged venv costs one comparison and an interrupted one is made again. Index, certificate and credential
settings of pip are the user's: they are passed on to uv and written nowhere.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .apt import Apt, unpack
from .errors import SandboxError
from .home import Home
from .progress import say, step

UV_VERSION = "0.13.8"
LEAST_PYTHON = (3, 11)
LOCK, PROJECT, STAMP = "requirements.lock", "pyproject.toml", ".holdfast-stamp"

_PIP_TO_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
    "trusted-host": "UV_INSECURE_HOST",
}


@dataclass(frozen=True)
class Pip:
    """A way to run pip: `python -m pip` with this environment."""

    python: Path
    environ: Mapping[str, str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Its exit code and output."""
        return _run([str(self.python), "-m", "pip", *arguments], self.environ)


def make(home: Home, project: Path, target: Path) -> None:
    """Bring the venv `target` of `project` up to date; does nothing when it is."""
    python = find_python(os.environ)
    stamp = _stamp(project, python)
    if (target / "bin/python").exists() and _read(target / STAMP) == stamp:
        say(f"{target} is up to date")
        return
    home.root.mkdir(parents=True, exist_ok=True)
    pip = find_pip(home, python)
    uv = _Uv(_install_uv(home, pip), uv_settings(_pip_settings(pip), os.environ))
    (target / STAMP).unlink(missing_ok=True)
    if not _works(target, python):
        with step(f"{target} made for Python {_version(python)}"):
            uv.run(project, "venv", "--clear", "--no-project", "--python", str(python), str(target))
    _sync(uv, project, target)
    (target / STAMP).write_text(stamp)


def run_uv(home: Home, project: Path, arguments: Sequence[str]) -> None:
    """Run the pinned uv in `project`, with the user's pip settings."""
    pip = find_pip(home, find_python(os.environ))
    _Uv(_install_uv(home, pip), uv_settings(_pip_settings(pip), os.environ)).run(project, *arguments)


def find_python(environ: Mapping[str, str]) -> Path:
    """HOLDFAST_PYTHON, or python3 on the PATH; 3.11 or newer."""
    asked = environ.get("HOLDFAST_PYTHON") or "python3"
    found = shutil.which(asked, path=environ.get("PATH"))
    if found is None:
        raise SandboxError(
            f"{asked} was not found", "it is not on the PATH", "Set HOLDFAST_PYTHON to a Python 3.11 or newer"
        )
    version = _version(Path(found))
    if tuple(map(int, version.split(".")[:2])) < LEAST_PYTHON:
        raise SandboxError(
            f"{found} is Python {version}", "Holdfast needs 3.11 or newer", "Set HOLDFAST_PYTHON to a newer one"
        )
    return Path(found)


def find_pip(home: Home, python: Path) -> Pip:
    """The interpreter's own pip, or ensurepip's in a throw-away venv, or Debian's wheel of pip."""
    own = Pip(python, {})
    if own.run("--version").returncode == 0:
        return own
    bootstrap = home.tools / "bootstrap"
    if _run([str(python), "-m", "venv", "--clear", str(bootstrap)], {}).returncode == 0:
        return Pip(bootstrap / "bin/python", {})
    shutil.rmtree(bootstrap, ignore_errors=True)
    return Pip(python, {"PYTHONPATH": str(_debian_pip_wheel(home))})


def uv_settings(pip_settings: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Pip's settings in uv's words; what the environment already tells uv is left alone.

    uv takes a package from the first index that has it and pip from the best; with several indexes we do as
    pip does, which is safe here because the lock's hashes decide which file is acceptable.
    """
    settings = {"UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "1", "UV_NO_PROGRESS": "1"}
    for key, name in _PIP_TO_UV.items():
        if key in pip_settings:
            values = pip_settings[key].split()
            settings[name] = (",".join if name == "UV_FIND_LINKS" else " ".join)(values)
    if "UV_INDEX" in settings:
        settings["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return {name: value for name, value in settings.items() if name not in environ}


@dataclass(frozen=True)
class _Uv:
    program: Path
    settings: Mapping[str, str]

    def run(self, project: Path, *arguments: str) -> None:
        result = _run([str(self.program), *arguments], self.settings, cwd=project)
        if result.returncode != 0:
            raise SandboxError(
                f"`uv {' '.join(arguments[:2])}` failed",
                "its own words are below",
                "Check the network and pip's index settings (`pip config list`), then run the command again",
                evidence=result.stderr.strip()[-2000:],
            )


def _sync(uv: _Uv, project: Path, target: Path) -> None:
    python = ["--python", str(target / "bin/python")]
    count = len(re.findall(r"^\S+==", _read(project / LOCK), re.MULTILINE))
    with step(f"{count} packages of {LOCK} in place"):
        uv.run(project, "pip", "sync", *python, "--require-hashes", LOCK)
    with step("Holdfast itself installed, editable"):
        uv.run(project, "pip", "install", *python, "--no-deps", "--no-build-isolation", "--editable", ".")


def _install_uv(home: Home, pip: Pip) -> Path:
    folder = home.tools / f"uv-{UV_VERSION}"
    program = folder / "bin" / "uv"
    if program.exists():
        return program
    with step(f"uv {UV_VERSION} installed"):
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        result = pip.run("install", "--quiet", "--no-deps", "--target", str(partial), f"uv=={UV_VERSION}")
        if result.returncode != 0:
            raise SandboxError(
                f"uv {UV_VERSION} could not be installed",
                "pip's own words are below",
                "Check the network and pip's index settings (`pip config list`), then run the command again",
                evidence=result.stderr.strip()[-2000:],
            )
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    return program


def _debian_pip_wheel(home: Home) -> Path:
    """Pip as one wheel file, which Python can import from as it is."""
    folder = home.tools / "python3-pip-whl"
    if not folder.exists():
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            raise SandboxError(
                "There is no pip",
                "Python has neither pip nor ensurepip here",
                "Install pip, or use `docker compose up`",
            )
        say("this Python has neither pip nor ensurepip: borrowing Debian's")
        apt = Apt(home.tools / "apt")
        apt.update()
        files = [file for file in apt.download(["python3-pip-whl"]) if file.name.startswith("python3-pip-whl")]
        unpack(files, folder)
        apt.clean()
    return next(folder.glob("usr/share/python-wheels/pip-*.whl"))


def _pip_settings(pip: Pip) -> dict[str, str]:
    """`pip config list` as a mapping; for one key a later line wins, the environment's comes last."""
    lines = re.findall(r"^[^.\n]*\.([\w-]+)='(.*)'$", pip.run("config", "list").stdout, re.MULTILINE)
    return {key: value.replace("\\n", " ") for key, value in lines}


def _works(target: Path, python: Path) -> bool:
    """Is there a venv of this Python's version?"""
    try:
        return _version(target / "bin/python") == _version(python)
    except (OSError, SandboxError):
        return False


def _version(python: Path) -> str:
    result = _run([str(python), "-c", "import platform; print(platform.python_version())"], {})
    if result.returncode != 0:
        raise SandboxError(
            f"{python} does not run", result.stderr.strip(), "Set HOLDFAST_PYTHON to a Python 3.11 or newer"
        )
    return result.stdout.strip()


def _stamp(project: Path, python: Path) -> str:
    for name in (LOCK, PROJECT):
        if not (project / name).exists():
            raise SandboxError(
                f"{project / name} does not exist", "the venv is made from it", "Run this in a full checkout"
            )
    parts = [UV_VERSION, _version(python), str(project), _read(project / LOCK), _read(project / PROJECT)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _run(argv: list[str], environ: Mapping[str, str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        env={**os.environ, **environ},
        cwd=cwd,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
