"""Lanes: jobs that run one after the other, in the order in which they were accepted.

A lane is a tenant, a destination and an ordering key. At most one job of a lane is under way (scheduled, queued,
running or waiting); those behind it are BLOCKED, and nobody has a ticket for them. When the first one has ended,
whichever way, the next may begin:

    accepted ──► BLOCKED ──first of its lane, and none under way──► QUEUED (or SCHEDULED) ──► … ──► ended

A retry or a parked attempt keeps the lane, so no later job overtakes. A job that died has ended, and lets the lane go
on; a replay puts it at the end.
"""

from __future__ import annotations

from urllib.parse import quote

from holdfast.domain.job import JobState

UNDER_WAY = frozenset({JobState.SCHEDULED, JobState.QUEUED, JobState.RUNNING, JobState.WAITING})
"""States in which a job keeps others of its lane BLOCKED."""


def lane(tenant: str, destination: str, key: str) -> str:
    """The name of a lane: no two that differ in anything have the same."""
    return f"{quote(tenant, safe='')}/{quote(destination, safe='')}/{key}"
