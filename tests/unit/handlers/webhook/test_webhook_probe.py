"""The probe of an endpoint that was disabled for failing: genuine, told apart by its type, and sent to no other."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, cast

import pytest
from test_webhook_dispatch import SECRET, Scripted, answering

from holdfast.adapters.memory.endpoints import MemoryEndpoints
from holdfast.adapters.memory.ledger import MemoryLedger
from holdfast.domain.endpoint import Endpoint, EndpointState, Patience
from holdfast.handlers.webhook.probe import PROBE, Probe
from holdfast.handlers.webhook.signature import verify
from holdfast.ports.egress import Unreachable
from holdfast.ports.receivers import Receiver
from ledger_world import NOW, FakeClock, make_endpoint

PATIENCE = Patience(failures=1, lasting=timedelta(0))


class Scene:
    def __init__(self, answer: Any, **changes: Any) -> None:
        self.clock, self.egress = FakeClock(), answer
        self.store = MemoryEndpoints(MemoryLedger(self.clock))
        self.endpoint = make_endpoint(**{"state": EndpointState.FAILING, "probe_at": NOW} | changes)
        self.store.kept[self.endpoint.id] = self.endpoint

    async def receiver(self, _: str, endpoint_id: object) -> Receiver:
        return Receiver(self.endpoint, {"X-Shop": "harbour"}, (SECRET,))

    async def turn(self) -> Endpoint:
        probe = Probe(self.store, cast("Any", self), cast("Any", self.egress), self.clock, PATIENCE)
        assert not await probe.turn()
        return self.store.kept[self.endpoint.id]


async def test_a_probe_is_a_signed_webhook_of_its_own_type_and_an_answer_enables_the_endpoint() -> None:
    scene = Scene(answering(204))
    assert (await scene.turn()).state is EndpointState.ENABLED
    [(url, body, headers, _, _)] = scene.egress.sent
    assert url == scene.endpoint.url
    assert verify(headers, body, [SECRET], now=NOW)
    assert json.loads(body)["type"] == PROBE
    assert json.loads(body)["data"] == {"endpoint_id": str(scene.endpoint.id)}
    assert headers["x-shop"] == "harbour"


@pytest.mark.parametrize("answer", [answering(503), answering(301), Scripted(Unreachable("nobody", error="Timeout"))])
async def test_anything_else_makes_the_next_wait_longer(answer: Scripted) -> None:
    scene = Scene(answer)
    after = await scene.turn()
    assert (after.state, after.probes, after.probe_at) == (EndpointState.FAILING, 1, NOW + timedelta(minutes=2))
    await scene.turn()
    assert len(answer.sent) == 1, "not before its time"


@pytest.mark.parametrize(
    "changes",
    [
        {"state": EndpointState.GONE},
        {"state": EndpointState.DISABLED},
        {"state": EndpointState.DELETED},
        {"probe_at": NOW + timedelta(seconds=1)},
    ],
)
async def test_no_other_is_asked(changes: dict[str, Any]) -> None:
    scene = Scene(answering(204), **changes)
    assert await scene.turn() == scene.endpoint
    assert scene.egress.sent == []
