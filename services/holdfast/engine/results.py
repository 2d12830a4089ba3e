"""A job's result and the artifacts it lists.

Invariant: only the artifacts of the attempt that succeeded are listed, by the keys of its own fencing token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from holdfast.domain.attempt import Outcome, Succeeded
from holdfast.ports.artifacts import Artifact


def with_artifacts(outcome: Outcome, saved: Sequence[Artifact]) -> Outcome:
    """A success with what its attempt saved under `result.artifacts`; any other outcome as it is."""
    if not saved or not isinstance(outcome, Succeeded):
        return outcome
    return replace(outcome, result={**outcome.result, "artifacts": [asdict(artifact) for artifact in saved]})


def artifacts_of(result: Mapping[str, Any] | None) -> list[Artifact]:
    """The artifacts that a result lists."""
    return [Artifact(**entry) for entry in (result or {}).get("artifacts", ())]
