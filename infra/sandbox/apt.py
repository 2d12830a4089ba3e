"""A private apt: the host's mirror and keys, another suite, and not one file of the host changed.

Invariant: every package is verified by a Debian archive key before it is unpacked. The mirror, proxy and
credentials come from the host's own apt configuration. The trail of trust: the host's archive keyring; where that
is too old for the suite, the newer `debian-archive-keyring` package of the host's own suite, which the
host's keyring vouches for. Only HOLDFAST_SANDBOX_UNVERIFIED=1 goes on without a signature, and says so.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .errors import OTHERWISE, SandboxError
from .progress import say, step, ticker

KEYRING_FOLDER = Path("/usr/share/keyrings")
KEYRING_NAMES = ("debian-archive-keyring.pgp", "debian-archive-keyring.gpg")
UNVERIFIED = "HOLDFAST_SANDBOX_UNVERIFIED"

_CONFIGURATION = """\
// The host's hooks (caches to clean, desktops to tell) are not ours to run.
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
Dir::State "{folder}/state";
Dir::State::lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Etc::sourcelist "{folder}/private.sources";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "-";
Dir::Etc::preferencesparts "-";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::Check-Valid-Until "false"; // a frozen mirror is past its date; signatures are still checked
APT::Install-Recommends "false";
APT::Sandbox::User "root"; // ignored for an ordinary user; root's home may be closed to _apt
"""


@dataclass(frozen=True)
class Download:
    """One package file that apt would fetch."""

    name: str
    size: int


class Apt:
    """apt with its own folder, for one suite."""

    def __init__(self, folder: Path, suite: str | None = None) -> None:
        """`suite` None means the host's own."""
        self._folder = folder
        self._suite = suite or host_suite()
        self._archives = folder / "cache" / "archives"

    def update(self) -> None:
        """Fetch and verify the package lists."""
        self._lay_out()
        mirror = host_mirror()
        with step(f"package lists of Debian {self._suite}"):
            self._write_sources(mirror, host_keyring())
            problem = self._try_update()
            if problem and _is_key_problem(problem):
                say("the host's Debian keyring is too old for this suite: fetching the newer keyring package")
                self._write_sources(mirror, self._newer_keyring())
                problem = self._try_update()
            if problem and _is_key_problem(problem) and os.environ.get(UNVERIFIED) == "1":
                say(f"WARNING: {UNVERIFIED}=1: going on WITHOUT verifying the signatures of the packages")
                self._write_sources(mirror, None, trusted=True)
                problem = self._try_update()
        if problem:
            self._refuse(mirror, problem)

    def download(self, packages: Sequence[str]) -> list[Path]:
        """Fetch the packages and all they depend on; returns the package files."""
        wanted = self._plan(packages)
        size = sum(download.size for download in wanted) / 1e6
        with step(f"downloaded {len(wanted)} packages, {size:.0f} MB"), ticker(lambda: self._fetched(size)):
            result = self._get("install", "--download-only", "--yes", *packages)
        if result.returncode != 0:
            raise SandboxError(
                "The Debian packages could not be downloaded", _reason(result.stderr), f"Try again. {OTHERWISE}"
            )
        return [self._archives / download.name for download in wanted]

    def clean(self) -> None:
        """Drop lists and package files."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _plan(self, packages: Sequence[str]) -> list[Download]:
        result = self._get("install", "--print-uris", "--yes", *packages)
        if result.returncode != 0:
            raise SandboxError(
                f"Debian {self._suite} cannot supply {', '.join(packages)}",
                _reason(result.stderr),
                f"The suite may have moved on: see SUITE in infra/sandbox/rootfs.py. {OTHERWISE}",
            )
        found = re.findall(r"^'[^']+' (\S+\.deb) (\d+)", result.stdout, re.MULTILINE)
        return [Download(name, int(size)) for name, size in found]

    def _fetched(self, total: float) -> str:
        done = sum(file.stat().st_size for file in self._archives.rglob("*.deb") if file.exists()) / 1e6
        return f"downloading: {done:.0f} of {total:.0f} MB"

    def _lay_out(self) -> None:
        for name in ("state", "lists/partial", "cache/archives/partial"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        (self._folder / "status").touch()
        (self._folder / "apt.conf").write_text(_CONFIGURATION.format(folder=self._folder))

    def _write_sources(self, mirror: str, keyring: Path | None, *, trusted: bool = False) -> None:
        lines = ["Types: deb", f"URIs: {mirror}", f"Suites: {self._suite}", "Components: main"]
        lines += [f"Signed-By: {keyring}"] if keyring else []
        lines += ["Trusted: yes"] if trusted else []
        (self._folder / "private.sources").write_text("\n".join(lines) + "\n")

    def _try_update(self) -> str:
        """Empty when the lists are there and verified, else apt's complaint."""
        result = self._get("update", "-o", "APT::Update::Error-Mode=any")
        return "" if result.returncode == 0 else _reason(result.stderr)

    def _newer_keyring(self) -> Path:
        """The archive keyring as the host's own suite ships it today."""
        own = Apt(self._folder / "keyring", suite=host_suite())
        own._lay_out()
        own._write_sources(host_mirror(), host_keyring())
        problem = own._try_update()
        if problem:
            own._refuse(host_mirror(), problem)
        target = self._folder / "keyring" / "root"
        unpack(own.download(["debian-archive-keyring"]), target)
        return _first_existing(target / "usr/share/keyrings" / name for name in KEYRING_NAMES)

    def _refuse(self, mirror: str, problem: str) -> None:
        if _is_key_problem(problem):
            raise SandboxError(
                f"The signature of Debian {self._suite} could not be verified",
                problem,
                f"Install a newer debian-archive-keyring, or accept the risk with {UNVERIFIED}=1. {OTHERWISE}",
            )
        raise SandboxError(f"No package lists of Debian {self._suite} could be had from {mirror}", problem)

    def _get(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _run("apt-get", "-c", str(self._folder / "apt.conf"), "-q", *arguments)


def host_mirror() -> str:
    """The address from which the host itself takes its Debian packages."""
    result = _run("apt-get", "update", "--print-uris")
    sources = re.findall(r"^'(.+?)/dists/(.+?)/(?:In)?Release'", result.stdout, re.MULTILINE)
    mirrors: list[str] = [address for address, suite in sources if suite == host_suite()]
    if not mirrors:
        raise SandboxError(
            "No Debian mirror is known here", "the host's apt configuration names none for its own Debian suite"
        )
    return mirrors[0]


def host_suite() -> str:
    """The code name of the host's own Debian."""
    text = Path("/etc/os-release").read_text()
    found = re.search(r'^VERSION_CODENAME="?([^"\n]+)', text, re.MULTILINE)
    return found.group(1) if found else "stable"


def host_keyring() -> Path | None:
    """The host's Debian archive keyring; None leaves it to the keys that its apt trusts by itself."""
    for name in KEYRING_NAMES:
        if (KEYRING_FOLDER / name).exists():
            return KEYRING_FOLDER / name
    return None


def unpack(files: Iterable[Path], target: Path) -> None:
    """Unpack package files over each other, without running any of their scripts."""
    target.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for file, result in pool.map(lambda file: (file, _run("dpkg-deb", "-x", str(file), str(target))), files):
            if result.returncode != 0:
                raise SandboxError(f"{file.name} could not be unpacked", _reason(result.stderr))


def package_version(file: Path) -> tuple[str, str]:
    """Name and version of a package file, from its name: `name_version_architecture.deb`."""
    name, version, _architecture = file.name.removesuffix(".deb").split("_")
    return name, version.replace("%3a", ":")


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(arguments, capture_output=True, text=True, env=environ, stdin=subprocess.DEVNULL, check=False)


def _is_key_problem(problem: str) -> bool:
    return any(
        word in problem for word in ("NO_PUBKEY", "not signed", "EXPKEYSIG", "Missing key", "Sub-process /usr/bin/sqv")
    )


def _reason(stderr: str) -> str:
    """Apt's errors on one line, the warnings when there are no errors."""
    lines = [line for line in stderr.splitlines() if line.startswith(("E: ", "dpkg-deb: error"))]
    lines = lines or stderr.splitlines() or ["apt gave no reason"]
    return " ".join(line.removeprefix("E: ").strip() for line in lines[:4])


def _first_existing(paths: Iterable[Path]) -> Path:
    for path in paths:
        if path.exists():
            return path
    raise SandboxError("The newer Debian keyring could not be used", "the package does not hold the expected file")
