"""The home folder: where each thing lives, who owns it, and who may change it now.

Invariant: only names listed in `OWN_NAMES` are ever created in or removed from the home, so a wrong
HOLDFAST_HOME cannot cost anybody their files.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from .errors import SandboxError

REPOSITORY = Path(__file__).resolve().parents[2]

SERVICE_UID = 61100
"""Who the services are when root starts them: a number that no Debian system hands out (policy 9.2.2)."""

OWN_NAMES = (
    *("cache", "data", "etc", "log", "run", "tools"),
    *("env", "ports.json", "secrets.json", "chosen.json", "lock"),
)
DATA_NAMES = ("data", "etc", "env", "secrets.json")


_making_secrets = threading.Lock()


@dataclass(frozen=True)
class Home:
    """The folders of one sandbox; several homes may share one `cache`."""

    root: Path
    cache: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Home:
        """HOLDFAST_HOME and HOLDFAST_SANDBOX_CACHE, or `.holdfast/` in the repository."""
        root = Path(environ.get("HOLDFAST_HOME") or REPOSITORY / ".holdfast").expanduser().resolve()
        cache = Path(environ.get("HOLDFAST_SANDBOX_CACHE") or root / "cache").expanduser().resolve()
        return cls(root, cache)

    @property
    def env_file(self) -> Path:
        """Where everything is, for sh, make and pydantic-settings."""
        return self.root / "env"

    @property
    def tools(self) -> Path:
        """What makes the venv."""
        return self.root / "tools"

    def data(self, service: str) -> Path:
        """What must survive a restart."""
        return self.root / "data" / service

    def etc(self, service: str) -> Path:
        """Configuration, written anew at every start."""
        return self.root / "etc" / service

    def log(self, name: str) -> Path:
        """Standard output and error of a daemon."""
        return self.root / "log" / f"{name}.log"

    def record(self, name: str) -> Path:
        """The pid file of a daemon."""
        return self.root / "run" / f"{name}.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the home for one command; a second command waits. A crash frees it, the kernel sees to that."""
        path = self.root / "lock"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            held = exclusive(path)
        except PermissionError as error:
            raise SandboxError(
                f"The folder {self.root} cannot be written",
                f"it belongs to somebody else ({error.strerror})",
                "Set HOLDFAST_HOME to a folder of your own, or remove it as the user who made it",
            ) from error
        with held:
            yield

    def secret(self, name: str) -> str:
        """The password called `name`: made once, kept with the data (mode 0600), safe inside a URL."""
        path = self.root / "secrets.json"
        with _making_secrets:  # services start at the same time
            known: dict[str, str] = read_json(path, {})
            if name not in known:
                known[name] = secrets.token_hex(16)
                write_private(path, json.dumps(known, indent=2))
        return known[name]

    def remove(self, names: tuple[str, ...]) -> None:
        """Remove these of the sandbox's own names, and the home itself once it is empty."""
        for name in names:
            path = self.root / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        if self.root.is_dir() and not any(self.root.iterdir()):
            self.root.rmdir()


def service_owner() -> tuple[int, int]:
    """Uid and gid of the services: the caller's own, or SERVICE_UID for root (PostgreSQL refuses uid 0)."""
    return (SERVICE_UID, SERVICE_UID) if os.geteuid() == 0 else (os.geteuid(), os.getegid())


def service_folder(path: Path) -> Path:
    """Make a folder that only the services can read."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    os.chown(path, *service_owner())
    return path


def write_for_service(path: Path, text: str) -> None:
    """Replace a configuration file that only the services can read."""
    _replace(path, text, service_owner())


def write_private(path: Path, text: str) -> None:
    """Replace a file that only the caller can read."""
    _replace(path, text, (os.geteuid(), os.getegid()))


def _replace(path: Path, text: str, owner: tuple[int, int]) -> None:
    """At once, mode 0600: a reader sees the old text or the new, never half of it nor a file it may not open."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        os.fchown(file.fileno(), *owner)
        file.write(text)
    partial.replace(path)


def read_json(path: Path, default: Any) -> Any:
    """The content of a small state file; a missing or torn file counts as `default`."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return default


def exclusive(path: Path) -> IO[str]:
    """Lock `path` until the returned file is closed; waits for whoever holds it.

    Tries again when a `wipe` removed the file meanwhile, for that lock would exclude nobody.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a")
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            if os.fstat(handle.fileno()).st_ino == path.stat().st_ino:
                return handle
        except FileNotFoundError:
            pass
        handle.close()
