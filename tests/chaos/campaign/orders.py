"""What the campaign submits, and what must become of each order. The same seed gives the same orders."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

HOUR = 3600.0


class Fate(StrEnum):
    """How an order must end: `succeeded`, `cancelled`, or dead for this reason."""

    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXHAUSTED = "exhausted"
    POISONED = "poisoned"

    @property
    def dies(self) -> bool:
        """Whether it must end in the dead letters."""
        return self in {Fate.REJECTED, Fate.EXHAUSTED, Fate.POISONED}


@dataclass(frozen=True, slots=True)
class Order:
    """One job to be. `key` is its Idempotency-Key."""

    number: int
    key: str
    kind: str
    payload: dict[str, Any]
    fate: Fate = Fate.SUCCEEDED
    priority: int | str = "default"
    delay: float | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """Where the orders point to: the observer's URL, and the upload that the pictures are made from."""

    observer: str
    upload: str


@dataclass(slots=True)
class Planner:
    """Draws orders from a seed."""

    seed: int
    places: Places
    short: bool = False
    """Leave out what takes longer than a few seconds by design: six attempts over more than a minute."""
    _draw: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)

    def mixed(self, total: int) -> list[Order]:
        """Orders of every kind, in random order: 70 % webhooks, 3 % renders, the rest no-ops of several fates."""
        made = [*self._rare(total)]
        while len(made) < total:
            number = len(made)
            made.append(self.webhook(number) if self._draw.random() < 0.74 else self._noop(number))
        self._draw.shuffle(made)
        return made

    def webhook(self, number: int) -> Order:
        """A webhook that the observer takes, one in twenty-five after one or two 503."""
        fail = self._draw.choice((1, 1, 2)) if self._draw.random() < 0.04 else 0
        slow = self._draw.random() < 0.02
        hold = self._draw.uniform(0.5, 1.5) if slow else self._draw.uniform(0.02, 0.2)
        return self._post(number, {"fail": fail, "hold": round(hold, 3)})

    def _rare(self, total: int) -> Iterator[Order]:
        """The kinds that are counted in per mille."""
        number = 0
        recipes = [
            (15, self._image),
            (15, self._pdf),
            (10, self._cancelled),
            (4, lambda n: self._post(n, {"answer": 410}, Fate.REJECTED)),
            (4, lambda n: self._custom(n, "test.flaky", {"reject": True}, Fate.REJECTED)),
            (4, lambda n: self._custom(n, "test.flaky", {"fail_until": 99}, Fate.EXHAUSTED)),
            (10, lambda n: self._custom(n, "test.flaky", {"fail_until": 1})),
        ]
        if not self.short:
            recipes.append((3, lambda n: self._post(n, {"answer": 503}, Fate.EXHAUSTED)))
        for per_mille, recipe in recipes:
            for _ in range(max(2, total * per_mille // 1000)):
                yield recipe(number)
                number += 1
        for _ in range(1 if self.short else 3):
            yield self._custom(number, "test.crash", {}, Fate.POISONED)
            number += 1

    def _noop(self, number: int) -> Order:
        seconds = round(self._draw.uniform(0.05, 0.4), 3) if self._draw.random() < 0.2 else 0.0
        delay = round(self._draw.uniform(1, 8), 1) if self._draw.random() < 0.15 else None
        return self._custom(number, "test.noop", {"seconds": seconds}, delay=delay)

    def _cancelled(self, number: int) -> Order:
        return self._custom(number, "test.noop", {}, Fate.CANCELLED, delay=HOUR)

    def _image(self, number: int) -> Order:
        variant = {"name": "small", "width": self._draw.randint(16, 64), "format": "webp"}
        payload = {"source": {"upload": self.places.upload}, "variants": [variant]}
        return self._custom(number, "image.transform", payload)

    def _pdf(self, number: int) -> Order:
        return self._custom(number, "pdf.render", {"html": f"<h1>Order {number}</h1><p>seed {self.seed}</p>"})

    def _post(self, number: int, behaviour: dict[str, Any], fate: Fate = Fate.SUCCEEDED) -> Order:
        body = {"order": number, **behaviour}
        return self._custom(number, "webhook.dispatch", {"url": self.places.observer, "body": body}, fate)

    def _custom(
        self,
        number: int,
        kind: str,
        payload: dict[str, Any],
        fate: Fate = Fate.SUCCEEDED,
        delay: float | None = None,
    ) -> Order:
        priority = self._draw.choice(("low", "default", "default", "high", 20))
        return Order(number, f"campaign-{self.seed}-{number}", kind, payload, fate, priority, delay)
