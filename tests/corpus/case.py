"""What one hostile input is: a name, how to make it, and what must become of the job that it comes with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

SUCCEEDED, TIMED_OUT = "succeeded", "IsolatedTimeout"


@dataclass(frozen=True, slots=True)
class Case:
    """One input. `outcome` is `succeeded` or the name of the failure that the ledger keeps.

    Where a codec's version decides which of several names it is, they are joined by ` or `.
    """

    family: str
    name: str
    outcome: str
    make: Callable[[], bytes]
    options: dict[str, Any] = field(default_factory=dict)
    """Fields of the job's payload, or limits (`limits`), that the input needs to be hostile."""

    @property
    def outcomes(self) -> frozenset[str]:
        """The names of which one must come out."""
        return frozenset(self.outcome.split(" or "))

    @property
    def id(self) -> str:
        return f"{self.family}: {self.name}"


def document(family: str, name: str, outcome: str, **payload: Any) -> Case:
    """A case that is the payload of a `pdf.render` job."""
    return Case(family, name, outcome, lambda: orjson.dumps(payload))
