"""A job's result and the artifacts it lists.

Invariant: only the artifacts of the attempt that succeeded are listed, by the keys of its own fencing token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import orjson

from holdfast.domain.attempt import Bury, Outcome, Park, Retry, Succeeded
from holdfast.ports.artifacts import Artifact


def sound(outcome: object) -> Outcome:
    """What a handler returned; raise TypeError unless it is an outcome that the ledger can write down as JSON."""
    if not isinstance(outcome, Succeeded | Retry | Park | Bury):
        raise TypeError(f"run() returned {type(outcome).__name__}; return Succeeded, Retry, Park or Bury")
    orjson.dumps(outcome.detail)
    if isinstance(outcome, Succeeded):
        orjson.dumps(outcome.result)
    return outcome


def with_artifacts(outcome: Outcome, saved: Sequence[Artifact]) -> Outcome:
    """A success with what its attempt saved under `result.artifacts`; any other outcome as it is."""
    if not saved or not isinstance(outcome, Succeeded):
        return outcome
    return replace(outcome, result={**outcome.result, "artifacts": [asdict(artifact) for artifact in saved]})


def artifacts_of(result: Mapping[str, Any] | None) -> list[Artifact]:
    """The artifacts that a result lists."""
    return [Artifact(**entry) for entry in (result or {}).get("artifacts", ())]
