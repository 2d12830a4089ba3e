"""What callers saw: from single answers to figures by second and by load."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sick.figures import percentile

ACCEPTED = 202
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """One. `at` is when it came, in seconds since the epoch."""

    at: float
    status: int
    milliseconds: float

    @property
    def accepted(self) -> bool:
        """Whether it made a job."""
        return self.status == ACCEPTED


def read(lines: Sequence[Sequence[str]]) -> list[Answer]:
    """From the words of each line that `submit.js` logs."""
    return [Answer(int(at) / 1000, int(status), float(ms)) for at, status, ms in lines]


def figures(answers: Sequence[Answer], seconds: float) -> Figures:
    """Of all of them."""
    waits = sorted(answer.milliseconds for answer in answers if answer.accepted)
    return {
        "accepted": len(waits),
        "accepted a second": round(len(waits) / seconds, 1),
        "refused": sum(answer.status in {429, 503} for answer in answers),
        "other answers": sum(not answer.accepted and answer.status not in {429, 503} for answer in answers),
        **{f"p{share}": round(percentile(waits, share), 2) if waits else math.inf for share in (50, 95, 99)},
        "worst": round(waits[-1], 1) if waits else math.inf,
    }


def by_second(answers: Sequence[Answer]) -> list[Figures]:
    """Of each second in which something was sent, by when it was sent."""
    sent: defaultdict[int, list[Answer]] = defaultdict(list)
    begun = min((answer.at - answer.milliseconds / 1000 for answer in answers), default=0.0)
    for answer in answers:
        sent[int(answer.at - answer.milliseconds / 1000 - begun)].append(answer)
    return [{"second": second, "sent": len(these)} | figures(these, 1.0) for second, these in sorted(sent.items())]
