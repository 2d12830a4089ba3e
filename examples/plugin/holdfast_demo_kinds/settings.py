"""What the operator sets for these kinds, in `HOLDFAST_DEMO_*` environment variables.

A client chooses what to do, the operator where: neither address comes from a payload.
"""

from __future__ import annotations

import os

from holdfast.domain.errors import TryLater


def setting(name: str) -> str:
    """The variable's value; TryLater when it is missing, so that jobs wait for the operator for a while."""
    value = os.environ.get(name, "")
    if not value:
        raise TryLater(f"{name} is not set for this worker; set it and restart the worker", error="NotConfigured")
    return value
