"""How hard the property tests try: `HOLDFAST_HYPOTHESIS_PROFILE=thorough` for twenty times as many examples."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

THOROUGH = os.environ.get("HOLDFAST_HYPOTHESIS_PROFILE") == "thorough"


def bounded(examples: int, *, steps: int = 30) -> settings:
    """So many examples in CI, so many steps each; real stores make each one slow, so there is no deadline."""
    return settings(
        max_examples=examples * (20 if THOROUGH else 1),
        stateful_step_count=steps * (2 if THOROUGH else 1),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        print_blob=True,
    )
