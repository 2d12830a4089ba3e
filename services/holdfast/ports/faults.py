"""Where a test may stop a process: the gaps between two steps that must not be torn apart.

Between any two of them a crash is allowed to happen, and the guarantees say what becomes of the job then.
`tests/chaos/test_crash_points.py` kills a real process at every one of these points and looks. In production
`reach` does nothing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class FaultPoint(StrEnum):
    """Every place at which a process can be made to die."""

    SUBMIT_HELD = "submit.held"
    """The gate holds the key; nothing is written."""
    SUBMIT_COMMITTED = "submit.committed"
    """Job and outbox row are committed; nothing is published."""
    SUBMIT_REMEMBERED = "submit.remembered"
    """The gate knows the answer; the client has not got it."""
    DISPATCH_CONFIRMED = "dispatch.confirmed"
    """The broker has confirmed the message; its outbox row is still there. Of every process that publishes."""
    EXECUTE_CLAIMED = "execute.claimed"
    """The attempt is claimed; its effect has not happened."""
    EXECUTE_RAN = "execute.ran"
    """The effect has happened; nothing is settled."""
    EXECUTE_SETTLED = "execute.settled"
    """The outcome is committed; what follows from it is not published."""
    EXECUTE_PUBLISHED = "execute.published"
    """What follows is published (or nothing follows); the ticket is not acknowledged."""
    PROMOTE_COMMITTED = "promote.committed"
    """Due jobs are queued and their outbox rows committed; nothing is published."""
    RESCUE_COMMITTED = "rescue.committed"
    """Lost jobs have new tickets in the outbox; nothing is published."""
    BURY_COMMITTED = "bury.committed"
    """A poisoned job is dead in the ledger; its letter is not filed."""
    REISSUE_COMMITTED = "reissue.committed"
    """A job that the broker gave up on has a new ticket in the outbox; nothing is published."""
    ARCHIVE_FILED = "archive.filed"
    """The dead letter is filed; its message is not acknowledged."""
    REPLAY_COMMITTED = "replay.committed"
    """The dead job is queued again and its outbox row committed; nothing is published."""


class Faults(Protocol):
    """Told whenever a point is reached."""

    def reach(self, point: FaultPoint) -> None:
        """Return, unless somebody armed this point; then kill the process, or raise."""
        ...


class NoFaults:
    """What every process has unless a test asks for more."""

    def reach(self, point: FaultPoint) -> None:
        """Do nothing."""


NO_FAULTS = NoFaults()
