"""`ports.vault.Vault` by Fernet: AES-128-CBC and HMAC-SHA256, authenticated, with several keys while they rotate.

Source: https://github.com/fernet/spec and https://cryptography.io/en/latest/fernet/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from holdfast.ports.vault import SEALED, SecretUnreadable


class FernetVault:
    """Seals with the first of `keys` and opens with any; raise ValueError for what is no key."""

    def __init__(self, keys: Sequence[str]) -> None:
        each = [_fernet(number, key) for number, key in enumerate(keys, start=1)]
        if not each:
            raise ValueError("there is no key")
        self._newest, self._any = each[0], MultiFernet(each)

    def seal(self, value: Any) -> str:
        """JSON, encrypted."""
        return SEALED + self._newest.encrypt(orjson.dumps(value)).decode()

    def open(self, sealed: str) -> Any:
        """Try every key, the newest first."""
        if not sealed.startswith(SEALED):
            return sealed
        try:
            return orjson.loads(self._any.decrypt(sealed.removeprefix(SEALED)))
        except InvalidToken:
            raise SecretUnreadable from None

    def stale(self, sealed: str) -> bool:
        """Ask the newest key alone."""
        if not sealed.startswith(SEALED):
            return True
        try:
            self._newest.decrypt(sealed.removeprefix(SEALED))
        except InvalidToken:
            return True
        return False


def new_key() -> str:
    """A new key: 256 bits of chance, in URL-safe base64."""
    return Fernet.generate_key().decode()


def _fernet(number: int, key: str) -> Fernet:
    try:
        return Fernet(key)
    except ValueError:
        raise ValueError(f"key {number} is not 32 bytes in URL-safe base64") from None
