"""Ask whatever runs this process not to stop it for a while: a favour, never a guarantee.

What is in hand when a process is stopped all the same is finished within its grace, given back, or delivered again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol


class Protection(Protocol):
    """Synchronous; both methods raise ProtectionUnavailable when nobody answers or the favour is refused."""

    def hold(self, lasts: timedelta) -> None:
        """Do not choose this process when there are too many, for so long from now; ask again in time to go on."""
        ...

    def let_go(self) -> None:
        """It may be chosen from now on."""
        ...
