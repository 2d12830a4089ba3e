"""API keys over HTTP: made, listed, refused when they are revoked or past their time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from access_world import Caller, caller

from harness import Platform, eventually
from holdfast.api.auth import CACHED


def make(admin: Caller, **fields: Any) -> dict[str, Any]:
    answer = admin.http.post("/v1/keys", json={"name": f"shop-{uuid4()}"} | fields)
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    made: dict[str, Any] = answer.json()
    return made


def status_with(platform: Platform, key: str) -> int:
    with platform.client(headers={"Authorization": f"Bearer {key}"}) as client:
        return client.get("/v1/jobs").status_code


def test_a_key_is_shown_once_and_recognised_by_its_beginning(platform: Platform) -> None:
    with caller(platform, "admin") as admin:
        made = make(admin, tenant=f"acme-{uuid4()}")
        text = made.pop("key")
        assert status_with(platform, text) == 200
        shown = admin.http.get(f"/v1/keys/{made['id']}").json()
        listed = admin.http.get("/v1/keys")
    assert text.startswith(shown["prefix"]) and len(shown["prefix"]) == 9
    assert shown | {"last_used_at": None} == made
    assert shown["last_used_at"] is not None
    assert made["id"] in [key["id"] for key in listed.json()["keys"]]
    assert text not in listed.text


def test_a_revoked_key_is_refused_within_the_cache_time(platform: Platform) -> None:
    with caller(platform, "admin") as admin:
        made = make(admin)
        assert status_with(platform, made["key"]) == 200
        revoked = admin.http.delete(f"/v1/keys/{made['id']}", params={"reason": "it leaked"})
        began = let_in = time.monotonic()
        assert revoked.json()["revoked_at"] is not None

        def status() -> int:
            nonlocal let_in
            asked = time.monotonic()
            found = status_with(platform, made["key"])
            let_in = asked if found == 200 else let_in
            return found

        eventually(status, lambda seen: seen == 401, within=CACHED + 30)
        assert let_in - began <= CACHED + 0.5, "when the last request that was let in began"
        again = admin.http.delete(f"/v1/keys/{made['id']}")
        assert (again.status_code, again.json()["revoked_at"]) == (200, revoked.json()["revoked_at"])
        assert [deed.action for deed in admin.deeds()] == ["key.create", "key.revoke"]


def test_a_key_ends_by_itself(platform: Platform) -> None:
    with caller(platform, "admin") as admin:
        soon = datetime.now(UTC) + timedelta(seconds=5)
        made = make(admin, expires_at=soon.isoformat())
        eventually(lambda: datetime.now(UTC) > soon)
        assert status_with(platform, made["key"]) == 401
        past = admin.http.post("/v1/keys", json={"name": "late", "expires_at": soon.isoformat()})
    assert past.status_code == 422
    assert past.json()["errors"][0]["pointer"] == "/expires_at"


@pytest.mark.parametrize("role", ["submit", "read", "operate"])
def test_keys_are_for_administrators(platform: Platform, role: str) -> None:
    with caller(platform, role) as other:
        answers = [
            other.http.get("/v1/keys"),
            other.http.post("/v1/keys", json={"name": "mine", "roles": ["admin"]}),
            other.http.delete(f"/v1/keys/{other.key_id}"),
        ]
    assert [answer.json()["type"] for answer in answers] == ["urn:holdfast:problem:forbidden"] * 3


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "a\x00b"}, "/name"),
        ({"name": "x", "roles": []}, "/roles"),
        ({"name": "x", "roles": ["root"]}, "/roles/0"),
        ({"name": "x", "key": "hf_mine"}, "/key"),
    ],
)
def test_a_wrong_field_of_a_key_is_named(api: httpx.Client, body: dict[str, Any], pointer: str) -> None:
    answer = api.post("/v1/keys", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_an_unknown_key_is_a_404(api: httpx.Client) -> None:
    assert api.get(f"/v1/keys/{uuid4()}").status_code == 404
    assert api.delete(f"/v1/keys/{uuid4()}").status_code == 404
