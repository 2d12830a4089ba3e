"""Kill this process where a test asks for it, once.

A test arms a point by writing a file of its name into a folder: `kill` or `raise`, and which reach of the point is
meant (`kill 3`; the first when no number is given). Reaches are counted in the folder, over all processes and all
their lives. A fault that fires renames its file first, which only one process can do: so a process that is started
again passes the point at which the one before it died.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from holdfast.ports.faults import FaultPoint


class FaultInjected(Exception):
    """A defect, as a test asked for it."""


class FolderFaults:
    """Implements `ports.faults.Faults`, from the files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def reach(self, point: FaultPoint) -> None:
        """Strike when the point is armed and this is the reach that is meant."""
        armed = self._folder / point.value
        try:
            action, _, nth = armed.read_text().partition(" ")
        except FileNotFoundError:
            return
        if self._count(point) >= int(nth or 1) and self._spend(armed):
            self._strike(action.strip(), point)

    def _count(self, point: FaultPoint) -> int:
        """How many reaches of the armed point there have been, this one included."""
        descriptor = os.open(self._folder / f"{point.value}.reached", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, b".")
            return os.lseek(descriptor, 0, os.SEEK_CUR)  # the end of what was appended: a number of our own
        finally:
            os.close(descriptor)

    @staticmethod
    def _spend(armed: Path) -> bool:
        try:
            armed.rename(armed.with_name(f"{armed.name}.fired"))
        except FileNotFoundError:  # somebody else was faster
            return False
        return True

    @staticmethod
    def _strike(action: str, point: FaultPoint) -> None:
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise FaultInjected(f"a fault was injected at {point.value}")
