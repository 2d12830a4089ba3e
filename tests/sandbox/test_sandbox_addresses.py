"""The env file reads the same everywhere; given addresses are honoured, our own are not taken for given."""

from __future__ import annotations

import subprocess
from pathlib import Path

from sandbox import envfile
from sandbox.addresses import NAMES, given_addresses, own_addresses
from sandbox.home import Home
from sandbox.ports import Ports
from sandbox.services import CHOICES

AWKWARD = {"A_URL": "amqp://u:p%40ss@127.0.0.1:1/v", "B_URL": "postgresql+asyncpg://h/d?ssl=require&x='1' $HOME #"}


def chosen(home: Home) -> Ports:
    ports = Ports(home.root / "ports.json")
    for listener in ("amqp", "management", "rabbitmq-metrics", "redis", "postgres", "prometheus"):
        ports.choose(listener)
    return ports


def test_a_shell_reads_the_values_that_were_written(tmp_path: Path) -> None:
    envfile.update(tmp_path / "env", AWKWARD)
    shell = subprocess.run(
        ["sh", "-c", f'. {tmp_path}/env; printf "%s\\n%s" "$A_URL" "$B_URL"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shell.stdout.splitlines() == list(AWKWARD.values())
    assert envfile.read(tmp_path / "env") == AWKWARD


def test_the_sandbox_own_values_need_no_quotes_so_make_reads_them_too(home: Home) -> None:
    ports = chosen(home)
    for service in CHOICES:
        envfile.update(home.env_file, own_addresses(service, home, ports))
    text = home.env_file.read_text()
    assert "'" not in text
    assert '"' not in text
    assert "$" not in text
    assert set(envfile.read(home.env_file)) == {name for names in NAMES.values() for name in names}
    assert home.env_file.stat().st_mode & 0o077 == 0


def test_an_update_keeps_the_rest_and_none_removes(tmp_path: Path) -> None:
    envfile.update(tmp_path / "env", {"A": "1", "B": "2"})
    envfile.update(tmp_path / "env", {"A": None, "C": "3"})
    assert envfile.read(tmp_path / "env") == {"B": "2", "C": "3"}


def test_a_given_address_replaces_our_own_service(home: Home) -> None:
    environ = {"HOLDFAST_REDIS_URL": "redis://elsewhere:6379/0"}
    assert given_addresses(home, chosen(home), environ, CHOICES) == {"redis": environ}


def test_our_own_addresses_loaded_from_the_env_file_are_not_given(home: Home) -> None:
    ports = chosen(home)
    environ = {name: value for service in CHOICES for name, value in own_addresses(service, home, ports).items()}
    assert given_addresses(home, ports, environ, CHOICES) == {}


def test_a_password_is_made_once_and_private(home: Home) -> None:
    assert home.secret("redis") == home.secret("redis") != home.secret("postgres")
    assert (home.root / "secrets.json").stat().st_mode & 0o077 == 0
