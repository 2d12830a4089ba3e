"""Keep the secrets of a payload out of the ledger: they are sealed when it is accepted, and opened for its handler.

Which fields are secret is what the payload's own JSON Schema says: a field that holds anything `writeOnly` (pydantic's
SecretStr, or a field that says so) is sealed as a whole. So a plug-in's secrets are kept as the built-in ones are.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

from holdfast.ports.vault import SEALED, Vault


@cache
def secret_fields(payload: type[BaseModel]) -> frozenset[str]:
    """The top-level fields of a payload that hold a secret."""
    schema = payload.model_json_schema()
    definitions = schema.get("$defs", {})
    return frozenset(
        name for name, field in schema.get("properties", {}).items() if _secret(field, definitions, frozenset())
    )


def seal(vault: Vault, kind: type[BaseModel], payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """The payload as the ledger may keep it."""
    secret = [name for name in secret_fields(kind) & payload.keys() if payload[name] is not None]
    return {**payload, **{name: vault.seal(payload[name]) for name in secret}} if secret else payload


def unseal(vault: Vault, kind: type[BaseModel], payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """The payload as its client sent it; raise SecretUnreadable. What was kept in clear text stays as it is."""
    secret = secret_fields(kind) & payload.keys()
    return {**payload, **{name: vault.open(payload[name]) for name in secret if isinstance(payload[name], str)}}


def reseal(vault: Vault, kind: type[BaseModel], payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The payload under the newest key; None when it is already."""
    secret = [name for name in secret_fields(kind) & payload.keys() if payload[name] is not None]
    stale = [name for name in secret if not isinstance(payload[name], str) or vault.stale(payload[name])]
    if not stale:
        return None
    return {**payload, **{name: reseal_value(vault, payload[name]) for name in stale}}


def reseal_value(vault: Vault, value: Any) -> str:
    """One value, sealed or in clear text, under the newest key."""
    return vault.seal(vault.open(value) if isinstance(value, str) and value.startswith(SEALED) else value)


def _secret(part: Any, definitions: Mapping[str, Any], seen: frozenset[str]) -> bool:
    """Whether a part of a JSON Schema has anything that is only written."""
    if isinstance(part, list):
        return any(_secret(item, definitions, seen) for item in part)
    if not isinstance(part, dict):
        return False
    if part.get("writeOnly") is True:
        return True
    name = str(part.get("$ref", "")).rpartition("/")[2]
    if name in definitions and name not in seen:
        return _secret(definitions[name], definitions, seen | {name})
    return any(_secret(value, definitions, seen) for value in part.values())
