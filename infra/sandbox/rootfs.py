"""The root folder that all services run in: Debian packages unpacked side by side, nothing configured.

Invariant: a root folder is complete (its manifest is written last) and never changes after that, so several
homes can share it and `up` needs no network once it is there. Everything that differs between homes is
mounted over it when a process starts.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .apt import Apt, package_version, unpack
from .daemon import Command
from .errors import SandboxError
from .home import Home, exclusive, read_json, service_owner
from .jail import EXIT_NO_NAMESPACE, Jail
from .progress import step

SUITE = "forky"
PACKAGES = (
    *("rabbitmq-server", "redis-server", "postgresql-18", "prometheus"),
    *("dash", "coreutils", "sed", "grep", "mawk"),  # what their scripts take for granted on any Debian
)
NOT_UNPACKED = ("systemd", "locales", "perl", "perl-modules", "libperl", "libc-l10n", "rabbitmqadmin-ng", "adduser")
"""Dependencies of the packages' installation scripts, which never run here (names or beginnings of names)."""

LEAST_RABBITMQ = (4, 3, 5)
NEEDED_BYTES = 1_300_000_000
MACHINES = ("x86_64", "aarch64")
PATH = "/usr/sbin:/usr/bin"

_JAIL = Path(__file__).with_name("jail.py")
_MANIFEST = "holdfast-manifest.json"
_MOUNT_POINTS = ("proc", "dev", "tmp", "data", "config", "work")


@dataclass(frozen=True)
class RootFolder:
    """A complete root folder and the versions of the packages in it."""

    path: Path
    versions: Mapping[str, str]

    @classmethod
    def ensure(cls, home: Home) -> RootFolder:
        """The root folder of this recipe, downloaded and unpacked if it is not there yet."""
        path = home.cache / f"root-{_recipe()}"
        if not (path / _MANIFEST).exists():
            if why := unfit():
                raise SandboxError("The sandbox cannot run here", why)
            with exclusive(home.cache / "lock"):
                if not (path / _MANIFEST).exists():  # another home may have built it while this one waited
                    _require_space(home.cache)
                    _require_jail(home.cache / "probe")
                    _build(home.cache, path)
        found = cls(path, read_json(path / _MANIFEST, {}))
        found._require_rabbitmq()
        return found

    @classmethod
    def existing(cls, home: Home) -> RootFolder | None:
        """The root folder if it is complete, without downloading anything."""
        path = home.cache / f"root-{_recipe()}"
        return cls(path, read_json(path / _MANIFEST, {})) if (path / _MANIFEST).exists() else None

    def version(self, package: str) -> str:
        """The upstream version of a package, such as 4.3.6."""
        return self.versions[package].rpartition(":")[2].partition("-")[0].partition("+")[0]

    def command(
        self,
        argv: Sequence[str],
        environ: Mapping[str, str] | None = None,
        binds: Mapping[Path, str] | None = None,
        cwd: str = "/",
    ) -> Command:
        """`argv` as it runs inside this root folder; `binds` maps folders of the host to /data, /config or /work."""
        uid, gid = service_owner()
        jail = Jail(
            root=str(self.path),
            argv=list(argv),
            uid=uid,
            gid=gid,
            binds={str(source): target for source, target in (binds or {}).items()},
            cwd=cwd,
        )
        base = {"PATH": PATH, "HOME": "/data", "LANG": "C.UTF-8", "TZ": "UTC"}
        return Command([sys.executable, "-I", str(_JAIL), jail.to_json()], {**base, **(environ or {})})

    def _require_rabbitmq(self) -> None:
        version = self.version("rabbitmq-server")
        if tuple(int(part) for part in version.split(".")[:3]) < LEAST_RABBITMQ:
            least = ".".join(map(str, LEAST_RABBITMQ))
            raise SandboxError(
                f"RabbitMQ {version} was downloaded",
                f"Holdfast needs {least} or newer and the mirror's {SUITE} is older",
            )


def _build(cache: Path, path: Path) -> None:
    apt = Apt(cache / "apt", SUITE)
    apt.update()
    files = apt.download(PACKAGES)
    partial = path.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    with step(f"unpacked into {path}"):
        _lay_out(partial)
        unpack([file for file in files if not file.name.startswith(NOT_UNPACKED)], partial)
        (partial / _MANIFEST).write_text(json.dumps(dict(map(package_version, files)), indent=2, sort_keys=True))
        partial.rename(path)
        apt.clean()


def _lay_out(root: Path) -> None:
    """What a running system has and packages do not ship: merged /usr, mount points, names of host and user."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in _MOUNT_POINTS:
        (root / name).mkdir()
    uid, gid = service_owner()
    etc = root / "etc"
    etc.mkdir()
    (etc / "passwd").write_text(f"holdfast:x:{uid}:{gid}::/data:/bin/sh\n")
    (etc / "group").write_text(f"holdfast:x:{gid}:\n")
    (etc / "hosts").write_text("127.0.0.1 localhost\n")  # without it the RabbitMQ node waits for ever
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")


def _recipe() -> str:
    """Changes whenever the content of the root folder would."""
    text = json.dumps([SUITE, PACKAGES, NOT_UNPACKED, _MOUNT_POINTS, os.uname().machine, service_owner()])
    return f"{SUITE}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def unfit() -> str | None:
    """Why the sandbox cannot run on this machine; None where it can."""
    if sys.platform != "linux" or os.uname().machine not in MACHINES:
        return f"it needs Linux on {' or '.join(MACHINES)} and this is {sys.platform} on {os.uname().machine}"
    missing = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    return f"it takes its services from Debian packages and {missing[0]} is missing" if missing else None


def _require_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise SandboxError(
            "There is not enough disk space for the sandbox",
            f"{folder} has {free / 1e6:.0f} MB left and {NEEDED_BYTES / 1e6:.0f} MB are needed",
            "Make room, or set HOLDFAST_HOME to a folder on a larger disk",
        )


def _require_jail(root: Path) -> None:
    """Fail before the download, not after it, where the kernel allows no namespaces."""
    for name in ("proc", "dev", "tmp"):
        (root / name).mkdir(parents=True, exist_ok=True)
    uid, gid = service_owner()
    probe = Jail(root=str(root), argv=["/no-such-program"], uid=uid, gid=gid)
    result = subprocess.run(
        [sys.executable, "-I", str(_JAIL), probe.to_json()], capture_output=True, text=True, check=False
    )
    shutil.rmtree(root)
    if result.returncode == EXIT_NO_NAMESPACE and "no-such-program" not in result.stderr:
        who = "root without the right to mount" if os.geteuid() == 0 else "an ordinary user without user namespaces"
        raise SandboxError(
            "The sandbox cannot shut its services in a folder of their own",
            f"this is {who}: {result.stderr.strip()}",
        )
