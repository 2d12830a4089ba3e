"""Opening sockets, and only to permitted addresses.

aiohttp asks `GuardedDialler` for a socket for every address it is about to connect to, after all parsing, resolving
and caching. So a name that resolves differently the second time (DNS rebinding), a literal in an odd spelling and
a redirect all come past here. A refused address is skipped; the next one of the same name is still tried.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from holdfast.adapters.egress.guard import Allowed, forbidden

RESOLVER_THREADS = 16
"""Name servers that do not answer hold a thread each; a pool of their own keeps the process's other work going."""


class Phase(StrEnum):
    """How far a request came; names the timeout it ran into."""

    QUEUED = "HostBusy"
    RESOLVING = "NameTimeout"
    CONNECTING = "ConnectTimeout"
    TALKING = "ReadTimeout"


@dataclass(slots=True)
class Trip:
    """What happened to one request on its way out: its phase, and which addresses the guard let through or not."""

    phase: Phase = Phase.QUEUED
    refused: list[tuple[str, str]] = field(default_factory=list)
    """(address, kind of address) for each one that was not dialled."""
    dialled: int = 0


TRIP: ContextVar[Trip] = ContextVar("holdfast_egress_trip")
"""The request that the present task is making; connection attempts inherit it."""


class DialRefused(OSError):
    """The guard refuses this address. An OSError, so that aiohttp goes on with the name's other addresses."""


@dataclass(frozen=True, slots=True)
class GuardedDialler:
    """The `socket_factory` of the connector."""

    allow: Allowed

    def __call__(self, info: tuple[Any, ...]) -> socket.socket:
        """Open (not connect) a socket for an address from `getaddrinfo`; raise DialRefused for a refused one."""
        family, kind, protocol, _, target = info
        address = str(target[0])
        trip = TRIP.get()
        what = forbidden(address, self.allow)
        if what is not None:
            trip.refused.append((address, what))
            raise DialRefused(f"{address} is {what}")
        trip.dialled += 1
        trip.phase = Phase.CONNECTING
        return socket.socket(family, kind, protocol)


class SystemResolver(AbstractResolver):
    """`getaddrinfo` in threads of its own, which start when they are first needed: it may be made before a fork."""

    def __init__(self) -> None:
        self._threads = self._pool()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of the host, unfiltered: the dialler decides about each."""
        found = await asyncio.get_running_loop().run_in_executor(self._threads, self._look_up, host, port, family)
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for kind, address in found
        ]

    async def close(self) -> None:
        """Let the threads end; one that still waits for a name server ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._threads = self._pool()

    @staticmethod
    def _pool() -> ThreadPoolExecutor:
        return ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="egress-dns")

    @staticmethod
    def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[tuple[socket.AddressFamily, str]]:
        if f".{host.rstrip('.').lower()}".endswith(".localhost"):  # RFC 6761, 6.3: never ask a name server
            return [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
        try:
            infos = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        except UnicodeError as error:  # a label that is empty or longer than 63 characters
            raise socket.gaierror(socket.EAI_NONAME, f"not a host name: {error}") from None
        return [(kind, str(address[0])) for kind, _, _, _, address in infos]
