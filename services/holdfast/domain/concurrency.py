"""How much a process may have under way at once, found out while it works.

    the limit was reached, and the process kept up    it grows, by about one for as many answers as it is large
    the process falls behind                          it shrinks by a fifth, at most every `PAUSE` seconds
    the process has time to spare                     `BURST` may be under way, whatever it is

Additive increase, multiplicative decrease, as TCP does it. Two things tell that the process falls behind. *Lateness* is
how long the process works between the moment when a callback is asked for and its turn in the event loop: every request
pays it several times over, and a refusal about once, so it is kept below a millisecond whatever the requests
themselves wait for. It is counted in time of the processor, for a process that others keep from it does not get it
sooner by taking less. To such a process requests come in bunches, and the last of a bunch is late however few they are;
so to one that works for less than `LITTLE` of the time lateness means nothing. And answers that take much longer than
they did at best of late wait in some other queue, which more requests would only make longer. A ledger that is slow for
everybody, also when little is under way, is no reason to take less: its commits are shared. Both are averages of the
last few, for a machine that is busy with something else makes single ones late.

A process whose callbacks have their turn at once has time to spare, however much is under way: most of an answer is
waiting, for Redis, for a commit, for a confirm. Like CoDel this tells a standing queue from a passing one: what can be
worked off in a moment should be taken. How large a burst may be, and how quickly the limit shrinks, decide how long the
first answers of an overload take. The numbers come from a simulation of an event loop that is offered three times what
it can do, from one moment to the next (tests/unit/domain/event_loop_simulation.py): with these the slowest percent of
ten seconds' answers took 35 ms, and of the refusals 2; with a burst three times as large it was 69 and 6 ms. The price:
at half of its capacity the process refuses two requests in a thousand, at 80 % two in a hundred.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

LEAST, FIRST, MOST = 8.0, 16.0, 256.0
"""The bounds of the limit, and where it begins."""
BURST = 32.0
"""What may be under way while there is time to spare."""
LATE, SPARE = 0.0008, 0.0005
"""Seconds of work that may come before a callback, and that come at most where there is time to spare."""
SLOW, TIMES = 0.05, 2.0
"""Answers are slow that take so many seconds, and so many times as long as at best."""
LITTLE, WINDOW = 0.4, 0.1
"""The share of the time that the process works at most if lateness is to mean nothing; it is looked at so often, in
seconds, and each look weighs as much as all before it."""
FEW = 1 / 8
"""The weight of the newest in an average."""
SHRINK = 0.8
PAUSE = 0.02
"""Seconds between two shrinkings: what it takes to see what the last one did."""
REMEMBERED = 10.0
"""Seconds for which the best is remembered at least; twice that at most."""
LONGEST = 10
"""Seconds that a caller is sent away at most."""


@dataclass(slots=True)
class ConcurrencyLimit:
    """Times are in seconds, `now` by a clock that only runs forward."""

    limit: float = FIRST
    under_way: int = 0
    _lateness: float = 0.0
    _answer: float = 0.0
    _best: float = math.inf
    _best_before: float = math.inf
    _since: float = -math.inf
    _shrunk: float = -math.inf
    _share: float = 0.0
    _worked: float = 0.0
    _looked: float = -math.inf

    def has_room(self, weight: int, expected: int = 0) -> bool:
        """Whether a request that counts for so many may begin, when `expected` are about to.

        One that is alone may, whatever it counts for.
        """
        standing = self._share > LITTLE and self._lateness > SPARE
        limit = self.limit if standing else max(BURST, self.limit)
        taken = self.under_way + expected
        return taken == 0 or taken + weight <= limit

    def begin(self, weight: int) -> None:
        """A request begins."""
        self.under_way += weight

    def end(self, weight: int) -> None:
        """It ended, whichever way."""
        self.under_way -= weight

    def answered(self, took: float, under_way: int, now: float) -> None:
        """An answer took so long; so many were under way when its request began."""
        self._answer = self._answer + FEW * (took - self._answer) if self._answer else took
        if now - self._since > REMEMBERED:
            self._best_before, self._best, self._since = self._best, math.inf, now
        self._best = min(self._best, self._answer)
        if self._answer > max(SLOW, TIMES * min(self._best, self._best_before)):
            self._shrink(now)
        elif under_way >= self.limit * SHRINK:
            self.limit = min(MOST, self.limit + 1 / self.limit)

    def turned(self, lateness: float, now: float, worked: float) -> None:
        """A callback had its turn after so much other work; so much the process has worked in all."""
        self._lateness += FEW * (lateness - self._lateness)
        if now - self._looked >= WINDOW:
            self._share += ((worked - self._worked) / (now - self._looked) - self._share) / 2
            self._worked, self._looked = worked, now
        if self._share > LITTLE and self._lateness > LATE:
            self._shrink(now)

    def _shrink(self, now: float) -> None:
        if now - self._shrunk >= PAUSE:
            self.limit, self._shrunk = max(LEAST, self.limit * SHRINK), now


@dataclass(slots=True)
class Crowd:
    """How many were let in and how many refused, by the second."""

    admitted: int = 0
    refused: int = 0
    _since: float = -math.inf
    _ratio: float = 0.0

    def count(self, now: float, *, admitted: bool) -> None:
        """One more."""
        if now - self._since >= 1:
            self._ratio, self._since = self.refused / max(self.admitted, 1), now
            self.admitted = self.refused = 0
        if admitted:
            self.admitted += 1
        else:
            self.refused += 1

    def retry_after(self) -> int:
        """Seconds in which those who were refused in one could all be let in, at the rate of that second."""
        return max(1, min(LONGEST, math.ceil(self._ratio)))
