"""Callers with keys of their own, and what the audit trail says of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import httpx

from harness import Platform
from holdfast.client import AuditEntry, Holdfast


@contextmanager
def caller(platform: Platform, *roles: str, tenant: str = "default") -> Iterator[Caller]:
    """Somebody with a key in these roles, made by the anonymous administrator of an open api in development."""
    name = f"{'-'.join(roles)}-{uuid4()}"
    with platform.client() as anonymous:
        made = anonymous.post("/v1/keys", json={"name": name, "tenant": tenant, "roles": roles})
    assert made.status_code == 201, made.text
    key = made.json()
    with platform.client(headers={"Authorization": f"Bearer {key['key']}"}) as http:
        yield Caller(platform, http, name, key["id"], key["key"])


class Caller:
    """A key, and an HTTP client that sends it."""

    def __init__(self, platform: Platform, http: httpx.Client, name: str, key_id: str, key: str) -> None:
        self.platform, self.http, self.name, self.key_id, self.key = platform, http, name, key_id, key

    def deeds(self) -> list[AuditEntry]:
        """The audit trail's entries of this key, oldest first."""
        with Holdfast(self.platform.url) as operator:
            return list(operator.audit(actor=self.name))[::-1]
