"""Secrets at rest: what the ledger keeps of a secret is sealed, and only a holder of the keys can open it.

Promise: whatever was sealed with a key that this process knows is opened; nothing else is. A sealed value is text
that starts with `SEALED`, and may lie wherever JSON may.
"""

from __future__ import annotations

from typing import Any, Protocol

from holdfast.domain.errors import HoldfastError

SEALED = "sealed:"
"""Starts every sealed value, so that what is kept in clear text can be told from it."""


class SecretUnreadable(HoldfastError):
    """A secret was sealed with a key that this process does not have, or was tampered with."""

    def __init__(self) -> None:
        super().__init__(
            "a secret cannot be opened: it was sealed with a key that is not among HOLDFAST_ENCRYPTION_KEYS; "
            "give every process all keys that are still in use, then replay"
        )


class Vault(Protocol):
    """Seals and opens JSON values."""

    def seal(self, value: Any) -> str:
        """The value, sealed with the newest key. Sealing it twice gives two texts."""
        ...

    def open(self, sealed: str) -> Any:
        """What was sealed; raise SecretUnreadable. Text that is not sealed is returned as it is."""
        ...

    def stale(self, sealed: str) -> bool:
        """Whether sealing it anew would change the key: it is in clear text, or under another than the newest key."""
        ...
