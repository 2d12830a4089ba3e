"""The rate limiter: token buckets that every process of the platform shares."""

from __future__ import annotations

from typing import Protocol

from holdfast.domain.bucket import Grant, Rate


class Limiter(Protocol):
    """One bucket for each subject, such as `tenant/acme`."""

    async def take(self, subject: str, rate: Rate, cost: int) -> Grant:
        """Take up to `cost` tokens (at least 1) from the subject's bucket. Never fails: an adapter whose store is
        away answers by itself, and says in its docstring how far it may be off.
        """
        ...
