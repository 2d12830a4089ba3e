"""Why a request was refused, as one word: for metrics, whose labels are closed sets."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from holdfast.domain.errors import (
    IdempotencyMismatch,
    InvalidField,
    LedgerUnavailable,
    NotAdmitted,
    RefusedFor,
    RequestInFlight,
    UnknownKind,
)


class Unacceptable(StrEnum):
    """Why a request that was admitted became no job."""

    UNKNOWN_KIND = "unknown_kind"
    INVALID = "invalid"
    """The payload does not fit its kind."""
    KEY_REUSED = "key_reused"
    """The key belongs to another request."""
    IN_FLIGHT = "in_flight"
    """The first request with this key has not been answered yet."""
    LEDGER_UNAVAILABLE = "ledger_unavailable"
    OTHER = "other"
    """A defect, or a caller that went away."""


_WHY: Mapping[type[BaseException], Unacceptable] = {
    UnknownKind: Unacceptable.UNKNOWN_KIND,
    InvalidField: Unacceptable.INVALID,
    IdempotencyMismatch: Unacceptable.KEY_REUSED,
    RequestInFlight: Unacceptable.IN_FLIGHT,
    LedgerUnavailable: Unacceptable.LEDGER_UNAVAILABLE,
}


REASONS = (*RefusedFor, *Unacceptable)


def refused_for(error: BaseException) -> RefusedFor | Unacceptable:
    """The word for what `Submit.submit` raised."""
    if isinstance(error, NotAdmitted):
        return error.reason
    return _WHY.get(type(error), Unacceptable.OTHER)
