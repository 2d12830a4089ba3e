"""What the corpus and the fuzz look at besides outcomes: where sockets were dialled, and what is left of a call."""

from __future__ import annotations

import ipaddress
import resource
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil


@dataclass
class Dials:
    """Every address that this process has dialled, by Python's audit events, which no code of ours can get round."""

    seen: list[str] = field(default_factory=list)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
            self.seen.append(str(arguments[1][0]))

    def beyond(self, network: str = "127.0.0.0/8") -> list[str]:
        """The addresses outside of a network."""
        return [address for address in self.seen if ipaddress.ip_address(address) not in ipaddress.ip_network(network)]


DIALS = Dials()
sys.addaudithook(DIALS)


@dataclass(frozen=True)
class Traces:
    """What a process has open, below it and in the temporary folder; equal before and after, when nothing leaks."""

    descriptors: int
    children: int
    folders: int

    @classmethod
    def now(cls) -> Traces:
        here = Path(tempfile.gettempdir())
        return cls(
            len(list(Path("/proc/self/fd").iterdir())),
            len(psutil.Process().children(recursive=True)),
            len(list(here.iterdir())),
        )


def peak_of_children() -> int:
    """The most bytes of memory that any ended child of this process has had."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
