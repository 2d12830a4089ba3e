"""What tests of handlers need besides a real store and real egress: see `examples/plugin/tests/conftest.py`."""

from __future__ import annotations

import random

from holdfast.adapters.memory.breakers import MemoryBreakers
from holdfast.domain.downstream_policy import Policies
from holdfast.engine.downstreams import PooledDownstreams
from holdfast.ports.downstreams import Worker


def lone_downstreams(policies: Policies | None = None) -> PooledDownstreams:
    """Breakers of this process alone, without Redis, by the same rules."""
    rules = policies or Policies()
    own, me = MemoryBreakers(rules), Worker("here:1", "here:1", "alone", concurrency=8, busy=0)
    return PooledDownstreams(own, own, rules, me, most=me.concurrency, draw=random.random)
