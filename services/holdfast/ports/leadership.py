"""Who is steward: at most one process at a time, as far as one database can tell."""

from __future__ import annotations

from typing import Protocol


class Leadership(Protocol):
    """A lock that goes with its holder: when the process or its connection dies, it is free."""

    async def acquire(self) -> bool:
        """Try to become leader; True as well when this process leads already."""
        ...

    async def held(self) -> bool:
        """Whether the lock is still ours, asked of the store."""
        ...

    async def leader(self) -> str | None:
        """Who holds the lock, in words; None when nobody does. Raise LedgerUnavailable."""
        ...

    async def release(self) -> None:
        """Give the lock up, so that a successor need not wait."""
        ...
