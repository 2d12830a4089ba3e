"""What the breaker of one host did, from the moves that the workers logged, and how many probes that allowed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from holdfast.domain.circuit import CircuitState
from holdfast.domain.downstream_policy import Policies

EVENT = "breaker_moved"


@dataclass(frozen=True, slots=True)
class Moved:
    """A move, at a time in seconds since the epoch."""

    at: float
    to: CircuitState


@dataclass(frozen=True, slots=True)
class Breaker:
    """The breaker of `name` during a run."""

    name: str
    moves: Sequence[Moved]

    @classmethod
    def of(cls, name: str, folder: Path) -> Breaker:
        """From the logs in `folder`: each move is logged once, by the process whose question or report caused it."""
        entries = [entry for log in folder.glob("*.log") for entry in _entries(log) if entry.get("downstream") == name]
        moves = [
            Moved(datetime.fromisoformat(one["timestamp"]).timestamp(), CircuitState(one["after"])) for one in entries
        ]
        return cls(name, sorted(moves, key=lambda move: move.at))

    @property
    def tripped_at(self) -> float | None:
        """When it first opened."""
        return next((move.at for move in self.moves if move.to is CircuitState.OPEN), None)

    def times(self, state: CircuitState, until: float) -> int:
        """How often it moved there before `until`."""
        return sum(move.to is state and move.at <= until for move in self.moves)

    def probe_budget(self, until: float) -> int:
        """The calls that may have been let through between the first trip and `until`."""
        return self.times(CircuitState.HALF_OPEN, until) * Policies().of(self.name).probes

    def stretches(self, until: float) -> list[tuple[float, float, str]]:
        """From when to when it was in which state."""
        ends = [move.at for move in self.moves[1:]] + [until]
        return [(move.at, end, move.to.value) for move, end in zip(self.moves, ends, strict=False)]


def _entries(log: Path) -> list[dict[str, Any]]:
    lines = [line for line in log.read_text(errors="replace").splitlines() if EVENT in line]
    return [entry for entry in map(json.loads, lines) if entry["event"] == EVENT]
