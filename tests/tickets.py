"""Tickets of jobs that exist nowhere else, for tests of the broker alone."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from holdfast.domain.envelope import Envelope
from holdfast.domain.topology import Route


def ticket(route: Route, *, priority: int = 12, attempt: int = 1) -> Envelope:
    """An envelope of a job that exists nowhere else."""
    return Envelope(uuid4(), attempt, 0, "test.noop", "key", route, priority, datetime.now(UTC))
