"""Fetches what a document refers to, through the egress guard and within its caps.

An asset that cannot be had is kept as the reason why, which becomes a warning of the result; or it ends the
attempt, when the job says `require_assets`. So is one whose host may not be called now: only for an asset that it
requires is a job parked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from holdfast.domain.errors import Rejected, TryLater
from holdfast.handlers.source import fetch
from holdfast.ports.downstreams import NotNow
from holdfast.ports.handler import Context

MOST = 256
"""Assets of one document."""
AT_ONCE = 8
ALL_WITHIN = 60.0
"""Seconds for all assets of one document together; one alone has `limits.source_timeout`."""

NO_BASE = "it is a relative address, and the document has no base; give base_url"


class Assets:
    """The assets of one document, by address: `{"body": …, "type": …}` or `{"error": …}`."""

    def __init__(self, context: Context, *, required: bool) -> None:
        self.found: dict[str, dict[str, Any]] = {}
        self._context, self._required = context, required
        self._bytes = 0
        self._failed: Rejected | TryLater | NotNow | None = None
        self._seconds = ALL_WITHIN
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._asked = 0

    async def get(self, urls: Iterable[str]) -> None:
        """Fetch these side by side; each is in `found` afterwards, one way or the other."""
        wanted = [url for url in urls if url not in self.found]
        room = MOST - len(self.found)
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(max(0.0, self._seconds)), asyncio.TaskGroup() as group:
                for url in wanted[:room]:
                    group.create_task(self._get(url))
        except TimeoutError:
            self.leave_out(wanted, f"all assets together took longer than {ALL_WITHIN:g} s")
        self._seconds -= asyncio.get_running_loop().time() - began
        self.leave_out(wanted[room:], f"a document may refer to at most {MOST} assets")
        self.check()

    async def one(self, url: str, until: float) -> dict[str, Any]:
        """Fetch this one unless it is there, until that time of the loop; for an engine that asks as it goes."""
        if url in self.found:
            return self.found[url]
        if self._asked >= MOST:  # one entry for all of the rest, for a script may ask for ever
            url = "everything else"
            self.leave_out([url], f"a document may refer to at most {MOST} assets")
            return self.found[url]
        self._asked += 1
        try:
            async with asyncio.timeout_at(until):
                await self._get(url)
        except TimeoutError:
            self.leave_out([url], "all assets together took longer than half of the time limit")
        return self.found[url]

    def leave_out(self, urls: Iterable[str], reason: str) -> None:
        """Do without these."""
        for url in urls:
            if url not in self.found:
                self._failed = self._failed or AssetsTooLarge(f"{url[:200]} cannot be had: {reason}")
                self.found[url] = {"error": reason}

    def check(self) -> None:
        """Raise what kept an asset from being had, if the job says that it needs all of them."""
        if self._required and self._failed is not None:
            raise self._failed

    @property
    def left_out(self) -> dict[str, str]:
        """Those that could not be had, and why."""
        return {url: found["error"] for url, found in self.found.items() if "error" in found}

    async def _get(self, url: str) -> None:
        async with self._slots:
            try:
                self.found[url] = await self._fetched(url)
            except (Rejected, TryLater, NotNow) as error:
                self._failed = self._failed or error
                self.found[url] = {"error": str(error)}

    async def _fetched(self, url: str) -> dict[str, Any]:
        limits = self._context.limits
        response = await fetch(self._context, "pdf-asset", url, limits.asset_bytes)
        self._bytes += len(response.body)
        if self._bytes > limits.assets_total_bytes:
            self._bytes -= len(response.body)
            raise AssetsTooLarge(f"all assets together are larger than {limits.assets_total_bytes} bytes")
        return {"body": response.body, "type": response.headers.get("content-type", "application/octet-stream")}


class AssetsTooLarge(Rejected):
    """The assets of the document are too many, too large or too slow, all together."""
