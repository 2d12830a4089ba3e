"""What an operator does: dead letters, breakers, the audit trail. The part of the client that needs `operate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from holdfast.client.models import (
    AuditEntry,
    AuditPage,
    Breaker,
    BreakerList,
    BulkReplay,
    DeadLetter,
    DeadLetterFilter,
    DeadLetterGroup,
    GroupList,
    Job,
    LetterPage,
    Page,
    Priority,
)
from holdfast.client.wire import Repeat, Wire

PAGE = 100
"""Things asked for at a time; iterators go on by cursor."""
MANY, UNHURRIED = 10_000, 100.0
"""How many letters, at how many a second, a bulk replay without a limit or a rate is waited for."""


class Operations:
    """The operator's half of `Holdfast`. A `reason` is kept in the audit trail, with whose key it was."""

    _wire: Wire

    # Dead letters

    def dead_letters(
        self,
        only: DeadLetterFilter | None = None,
        *,
        settled: bool = False,
        limit: int | None = None,
    ) -> Iterator[DeadLetter]:
        """The dead letters that fit, newest first; those replayed or dropped only when `settled`."""
        query = (only or DeadLetterFilter()).body() | ({"settled": "true"} if settled else {})
        yield from self._pages("/v1/dead-letters", query, LetterPage, limit)

    def dead_letter_groups(
        self, only: DeadLetterFilter | None = None, *, limit: int | None = None
    ) -> tuple[DeadLetterGroup, ...]:
        """Equal failures among the letters that fit, the most frequent first; at most `limit` (up to 200) groups."""
        query = (only or DeadLetterFilter()).body() | ({"limit": limit} if limit else {})
        return self._wire.parse(GroupList, self._wire.call("GET", "/v1/dead-letters/groups", params=query)).groups

    def dead_letter(self, letter_id: str) -> DeadLetter:
        """One dead letter, with its headers and body."""
        return self._wire.parse(DeadLetter, self._wire.call("GET", f"/v1/dead-letters/{part(letter_id)}"))

    def replay(self, letter_id: str, *, priority: Priority | None = None, reason: str | None = None) -> Job:
        """Run the letter's job again: same id, same key, a fresh attempt budget."""
        body = given(priority=priority, reason=reason)
        path = f"/v1/dead-letters/{part(letter_id)}/replay"
        return self._wire.parse(Job, self._wire.call("POST", path, repeat=Repeat.UNSENT, json=body))

    def drop(self, letter_id: str, reason: str) -> DeadLetter:
        """Mark the letter as dropped; it stays on record with who dropped it, and why."""
        path = f"/v1/dead-letters/{part(letter_id)}/drop"
        return self._wire.parse(
            DeadLetter, self._wire.call("POST", path, repeat=Repeat.UNSENT, json={"reason": reason})
        )

    def replay_all(
        self,
        only: DeadLetterFilter,
        *,
        dry_run: bool = False,
        limit: int | None = None,
        rate: float | None = None,
        priority: Priority | None = None,
        reason: str | None = None,
    ) -> BulkReplay:
        """Replay every letter that fits and whose job is still dead, oldest first, `rate` a second.

        Without `limit` that is all of them. The api answers when it is done, so ask for many in several calls.
        """
        asked = given(limit=limit, rate=rate, priority=priority, reason=reason)
        body = {"filter": only.body(), "dry_run": dry_run} | asked
        duration = 60.0 + (0.0 if dry_run else (limit or MANY) / (rate or UNHURRIED))
        response = self._wire.call(
            "POST", "/v1/dead-letters/replay", repeat=Repeat.UNSENT, within=duration, answer_within=duration, json=body
        )
        return self._wire.parse(BulkReplay, response)

    # Breakers

    def breakers(self) -> tuple[Breaker, ...]:
        """The downstreams of which anything is known, by name."""
        return self._wire.parse(BreakerList, self._wire.call("GET", "/v1/breakers")).breakers

    def breaker(self, name: str) -> Breaker:
        """One downstream; a healthy one when nothing is known of it."""
        return self._wire.parse(Breaker, self._wire.call("GET", f"/v1/breakers/{part(name)}"))

    def force_breaker(self, name: str, state: str, *, ttl: float, reason: str) -> Breaker:
        """Force it `open` (nothing is sent, its jobs are parked) or `closed` for `ttl` seconds, up to a week."""
        body = {"state": state, "ttl": ttl, "reason": reason}
        return self._wire.parse(Breaker, self._wire.call("PUT", f"/v1/breakers/{part(name)}/override", json=body))

    def clear_breaker(self, name: str, *, reason: str | None = None) -> Breaker:
        """Take back what was forced; the breaker goes on from where it is."""
        path = f"/v1/breakers/{part(name)}/override"
        return self._wire.parse(Breaker, self._wire.call("DELETE", path, params=given(reason=reason)))

    # The audit trail

    def audit(
        self,
        *,
        action: str | None = None,
        outcome: str | None = None,
        actor: str | None = None,
        tenant: str | None = None,
        target: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[AuditEntry]:
        """What operators did, newest first. `actor` is the name of a key, `target` an id or a name."""
        times = {name: at and at.isoformat() for name, at in (("since", since), ("until", until))}
        query = {"action": action, "outcome": outcome, "actor": actor, "tenant": tenant, "target": target} | times
        yield from self._pages("/v1/audit", query, AuditPage, limit)

    def _pages(self, path: str, query: Mapping[str, Any], page: type[Page], limit: int | None) -> Iterator[Any]:
        params = given(**query)
        left = limit
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            answer = self._wire.parse(page, self._wire.call("GET", path, params=params | {"limit": size}))
            items = answer.items()
            yield from items if left is None else items[:left]
            left = None if left is None else left - len(items)
            if not answer.next_cursor:
                return
            params["cursor"] = answer.next_cursor


def part(text: str) -> str:
    """One segment of a path, so that an id or a name never reaches another route."""
    return quote(text, safe="")


def given(**values: Any) -> dict[str, Any]:
    """Those that are not left open."""
    return {name: value for name, value in values.items() if value is not None}
