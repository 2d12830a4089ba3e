"""Time and chance, as arguments."""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from holdfast.domain.job import job_id


class Clock(Protocol):
    """Tells the time and draws lots."""

    def now(self) -> datetime:
        """The time, in UTC."""
        ...

    def draw(self) -> float:
        """A uniform draw from [0, 1)."""
        ...

    def new_id(self) -> UUID:
        """A new UUIDv7."""
        ...


class SystemClock:
    """The clock of the machine and the chance of the operating system."""

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return datetime.now(UTC)

    def draw(self) -> float:
        """A uniform draw from [0, 1)."""
        return random.random()

    def new_id(self) -> UUID:
        """A new UUIDv7 at the present millisecond."""
        return job_id(int(self.now().timestamp() * 1000), os.urandom(10))
