"""Ports move aside when taken, stay when free, and never meet."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sandbox import ports
from sandbox.errors import SandboxError
from sandbox.ports import LOOPBACK, PREFERRED, Ports, is_free


@pytest.fixture
def taken() -> socket.socket:
    """A listener on some port."""
    listener = socket.socket()
    listener.bind((LOOPBACK, 0))
    listener.listen()
    return listener


def test_a_taken_preferred_port_moves_aside(
    tmp_path: Path, taken: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = taken.getsockname()[1]
    monkeypatch.setitem(PREFERRED, "redis", port)
    with taken:
        chosen = Ports(tmp_path / "ports.json").choose("redis")
    assert port < chosen < port + ports.REACH


def test_a_chosen_port_is_kept_over_restarts_as_long_as_it_is_free(
    tmp_path: Path, taken: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PREFERRED, "redis", taken.getsockname()[1])
    with taken:
        aside = Ports(tmp_path / "ports.json").choose("redis")
    assert Ports(tmp_path / "ports.json").choose("redis") == aside  # although the preferred one is free again


def test_a_kept_port_that_somebody_took_is_given_up(tmp_path: Path) -> None:
    first = Ports(tmp_path / "ports.json").choose("redis")
    with socket.create_server((LOOPBACK, first)):
        assert Ports(tmp_path / "ports.json").choose("redis") != first


def test_a_listener_on_all_addresses_takes_the_port_too() -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        assert not is_free(listener.getsockname()[1])


def test_listeners_of_one_home_never_share_a_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for listener in PREFERRED:
        monkeypatch.setitem(PREFERRED, listener, 23450)
    found = Ports(tmp_path / "ports.json")
    with pytest.raises(SandboxError):  # all want the same one, and each is the preferred one of the others
        monkeypatch.setattr(ports, "REACH", 1)
        found.choose("redis")
    monkeypatch.setattr(ports, "REACH", 400)
    assert len({found.choose(listener) for listener in PREFERRED}) == len(PREFERRED)
