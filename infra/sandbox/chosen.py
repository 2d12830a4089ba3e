"""What was brought up last, and how: `down`, `status` and `wipe` go by it, and every process by the env file."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from . import envfile
from .addresses import NAMES, own_addresses
from .home import Home, read_json, write_private
from .ports import Ports
from .progress import say
from .services import CHOICES

DEBIAN, COMPOSE = "debian", "compose"
"""The two ways to run services: from unpacked Debian packages, or by Docker Compose."""

Given = Mapping[str, Mapping[str, str]]
"""Per service the addresses that somebody gave."""


@dataclass(frozen=True)
class Chosen:
    """`own` are the services that we run, `given` those that we do not, `engine` is how."""

    own: Collection[str]
    given: Given
    engine: str


def remember(home: Home, ports: Ports, chosen: Chosen) -> None:
    """Write the addresses of all services into the env file, and the choice beside it."""
    values: dict[str, str | None] = {}
    for service in CHOICES:
        own = own_addresses(service, home, ports) if service in chosen.own else chosen.given.get(service, {})
        values |= dict.fromkeys(NAMES[service]) | dict(own)
    envfile.update(home.env_file, values)
    record = {"own": list(chosen.own), "given": chosen.given, "engine": chosen.engine}
    write_private(home.root / "chosen.json", json.dumps(record, indent=2))
    say(f"the addresses are in {home.env_file}")


def recall(home: Home) -> Chosen:
    """The last choice; before the first one, everything from Debian packages."""
    record = read_json(home.root / "chosen.json", {"own": list(CHOICES), "given": {}})
    return Chosen(record["own"], record["given"], record.get("engine", DEBIAN))
