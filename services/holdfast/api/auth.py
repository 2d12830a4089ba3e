"""Who is calling: `Authorization: Bearer hf_…`, by the SHA-256 of the key.

In development, on loopback, a request without a key acts as the default tenant in every role, and the process
says so when it starts. A key that is given is always checked; production always needs one.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import ip_address

from fastapi import Request
from starlette.types import Scope

from holdfast.api.heads import field
from holdfast.api.problems import Problem
from holdfast.domain.tenancy import DEFAULT_TENANT, KEY_PREFIX, Caller, Role, key_digest
from holdfast.ports.keys import Keys
from holdfast.settings import Settings

CACHED = 10.0
"""Seconds that an answer about a key is kept: how late a revocation, or the end of a key's time, can be noticed."""
LARGEST_CACHE = 10_000
ANONYMOUS = Caller(DEFAULT_TENANT, "anonymous (development)", frozenset(Role))


def open_to_anonymous(settings: Settings) -> bool:
    """Whether a request without a key is let in."""
    return not settings.production and _loopback(settings.api_host)


class Authenticator:
    """Answers who a request comes from, and remembers it for a few seconds."""

    def __init__(self, keys: Keys, settings: Settings) -> None:
        self._keys = keys
        self._anonymous = ANONYMOUS if open_to_anonymous(settings) else None
        self._known: dict[bytes, tuple[Caller | None, float]] = {}

    async def caller(self, authorization: str | None) -> Caller:
        """Raise a 401 problem unless the header names a key that is in force."""
        if not authorization:
            if self._anonymous is None:
                raise _unauthorized("send an API key: `Authorization: Bearer hf_…`; `holdfast keys create` makes one")
            return self._anonymous
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not key.startswith(KEY_PREFIX):
            raise _unauthorized("the Authorization header must be `Bearer hf_…`")
        caller = await self._look_up(key_digest(key.strip()))
        if caller is None:
            raise _unauthorized("the API key is unknown, revoked or past its time; ask its owner for a new one")
        return caller

    async def _look_up(self, digest: bytes) -> Caller | None:
        caller, until = self._known.get(digest, (None, 0.0))
        if until < time.monotonic():
            caller = await self._keys.caller(digest)
            if len(self._known) >= LARGEST_CACHE:
                self._known.clear()
            self._known[digest] = caller, time.monotonic() + CACHED
        return caller


def requires(role: Role, *others: Role) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency that yields the caller, if it has `role` or one of the others."""

    async def check(request: Request) -> Caller:
        return await caller_of(request.scope, role, *others)

    return check


async def caller_of(scope: Scope, role: Role, *others: Role) -> Caller:
    """Who sent the request; raise a problem unless it has `role` or one of the others."""
    authenticator: Authenticator = scope["app"].state.authenticator
    caller = await authenticator.caller(field(scope, b"authorization"))
    if caller.roles.isdisjoint({role, *others}):
        detail = f"the API key {caller.name!r} lacks the role {role.value!r}"
        raise Problem(403, "forbidden", "Forbidden", detail, role=role.value)
    address = scope["client"][0] if scope.get("client") else None
    return replace(caller, address=address, request_id=scope.get("request_id"))


def _unauthorized(detail: str) -> Problem:
    return Problem(401, "unauthorized", "Unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="holdfast"'})


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
