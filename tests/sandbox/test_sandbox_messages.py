"""On a machine where it cannot work, the sandbox says what failed, why and what to do; exit code 2, no traceback."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import apt, rootfs
from sandbox.errors import OTHERWISE, SandboxError
from sandbox.home import Home

Cli = Callable[..., subprocess.CompletedProcess[str]]


def assert_speaks(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 2, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


def test_a_machine_without_apt_is_told_about_compose(cli: Cli, tmp_path: Path) -> None:
    assert_speaks(cli("up", PATH=str(tmp_path)), "apt-get is missing", "docker compose up", "HOLDFAST_RABBITMQ_URL")


def test_no_reachable_mirror_is_named(cli: Cli, tmp_path: Path, home: Home) -> None:
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "apt-get").write_text(
        "#!/bin/sh\n[ \"$2\" = --print-uris ] || { echo 'E: Could not resolve host' >&2; exit 100; }\n"
        f"echo \"'http://mirror.invalid/debian/dists/{apt.host_suite()}/InRelease' x 0\"\n"
    )
    (fake / "apt-get").chmod(0o755)
    path = f"{fake}:{os.environ['PATH']}"
    assert_speaks(cli("up", PATH=path), "http://mirror.invalid/debian", "Could not resolve host", "docker compose up")


def test_a_full_disk_is_noticed_before_the_download(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootfs, "NEEDED_BYTES", 1 << 60)
    with pytest.raises(SandboxError, match=r"not enough disk space.*MB left.*HOLDFAST_HOME"):
        rootfs.RootFolder.ensure(home)


def test_another_architecture_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootfs, "MACHINES", ("pdp11",))
    with pytest.raises(SandboxError, match="needs Linux on pdp11"):
        rootfs.RootFolder.ensure(home)


def test_an_old_rabbitmq_is_refused() -> None:
    with pytest.raises(SandboxError, match=r"RabbitMQ 4\.2\.0 was downloaded\. Holdfast needs 4\.3\.5"):
        rootfs.RootFolder(Path("/nowhere"), {"rabbitmq-server": "4.2.0-1"})._require_rabbitmq()


def test_commands_before_the_first_up_say_so(cli: Cli) -> None:
    assert_speaks(cli("env"), "python3 infra/sandbox up")
    assert_speaks(cli("exec", "psql"), "python3 infra/sandbox up")
    assert cli("status").returncode == 1
    assert cli("down").returncode == 0
    assert cli("wipe").returncode == 0


def test_an_unknown_service_is_refused_by_name(cli: Cli) -> None:
    result = cli("up", "--services", "rabbitmq,kafka")
    assert result.returncode == 2
    assert "rabbitmq, redis, postgres, prometheus" in result.stderr


def test_an_error_is_three_sentences() -> None:
    assert str(SandboxError("it broke", "of old age")) == f"It broke. Of old age. {OTHERWISE}"


def test_wipe_never_removes_what_is_not_its_own(cli: Cli, home: Home) -> None:
    home.root.mkdir()
    (home.root / "thesis.txt").write_text("three years of work")
    (home.root / "data").mkdir()
    assert cli("wipe").returncode == 0
    assert [path.name for path in home.root.iterdir()] == ["thesis.txt"]


def test_everything_given_needs_no_packages_at_all(cli: Cli, home: Home) -> None:
    given = {
        "HOLDFAST_RABBITMQ_URL": "amqp://u:p@rabbit.example:5672/v",
        "HOLDFAST_REDIS_URL": "redis://redis.example:6379/0",
        "HOLDFAST_POSTGRES_URL": "postgresql+asyncpg://u:p@db.example/d",
    }
    result = cli("up", "--services", "rabbitmq,redis,postgres", **given)
    assert result.returncode == 0, result.stderr
    assert "redis is given by HOLDFAST_REDIS_URL" in result.stdout
    assert all(f"{name}={value}" in home.env_file.read_text() for name, value in given.items())
    assert not list(home.cache.glob("root-*")), "no packages of services"
