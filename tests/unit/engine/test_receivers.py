"""The endpoints as deliveries see them: read seldom, told only what changes something, no reason to deliver twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from holdfast.adapters.memory.endpoints import MemoryEndpoints
from holdfast.adapters.memory.ledger import MemoryLedger
from holdfast.adapters.vault import FernetVault, new_key
from holdfast.domain.endpoint import Endpoint, EndpointState, Patience, SigningSecret
from holdfast.domain.errors import LedgerUnavailable
from holdfast.engine.receivers import FRESH, KNOWN, EndpointReceivers
from holdfast.ports.receivers import Delivery
from ledger_world import FakeClock, make_endpoint

PATIENCE = Patience(failures=3, lasting=timedelta(minutes=1))


class Counted(MemoryEndpoints):
    """Counts what it is asked, and can be away."""

    reads = changes = 0
    away = False

    async def get(self, endpoint_id: UUID) -> Endpoint | None:
        self.reads += 1
        return await super().get(endpoint_id)

    async def change(self, *args: object, **more: object) -> Endpoint | None:
        if self.away:
            raise LedgerUnavailable("Postgres is away")
        self.changes += 1
        await asyncio.sleep(0)
        return await super().change(*args, **more)  # type: ignore[arg-type]


class Scene:
    def __init__(self) -> None:
        self.clock, self.seconds = FakeClock(), 0.0
        self.store = Counted(MemoryLedger(self.clock))
        self.vault = FernetVault([new_key()])
        self.receivers = EndpointReceivers(self.store, self.vault, self.clock, PATIENCE, lambda: self.seconds)
        secret = SigningSecret(self.vault.seal("whsec_x"), self.clock.now())
        self.endpoint = make_endpoint(secrets=(secret,), headers={"X-A": self.vault.seal("a")})
        self.store.kept[self.endpoint.id] = self.endpoint

    @property
    def now(self) -> Endpoint:
        return self.store.kept[self.endpoint.id]

    async def tell(self, *deliveries: Delivery) -> None:
        await asyncio.gather(*(self.receivers.tell(self.endpoint.id, delivery) for delivery in deliveries))


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_a_receiver_is_opened_and_read_once_a_second(scene: Scene) -> None:
    for _ in range(3):
        found = await scene.receivers.receiver("acme", scene.endpoint.id)
        assert found is not None
        assert (found.secrets, found.headers) == (("whsec_x",), {"X-A": "a"})
    assert scene.store.reads == 1
    scene.store.kept[scene.endpoint.id] = replace(scene.endpoint, url="https://new.example/")
    scene.seconds += FRESH
    found = await scene.receivers.receiver("acme", scene.endpoint.id)
    assert found is not None
    assert found.endpoint.url == "https://new.example/"


async def test_another_tenants_endpoint_does_not_exist(scene: Scene) -> None:
    assert await scene.receivers.receiver("other", scene.endpoint.id) is None
    assert not await scene.receivers.exists("other", scene.endpoint.id)
    assert await scene.receivers.exists("acme", scene.endpoint.id)


async def test_a_new_endpoint_exists_at_once_and_a_deleted_one_within_seconds_not(scene: Scene) -> None:
    late = make_endpoint()
    assert not await scene.receivers.exists("acme", late.id)
    scene.store.kept[late.id] = late
    assert await scene.receivers.exists("acme", late.id)
    scene.store.kept[late.id] = late.deleted(scene.clock.now())
    scene.seconds += KNOWN
    assert not await scene.receivers.exists("acme", late.id)


async def test_success_of_an_endpoint_that_does_well_writes_nothing(scene: Scene) -> None:
    await scene.receivers.receiver("acme", scene.endpoint.id)
    await scene.tell(*[Delivery.TAKEN] * 100)
    assert scene.store.changes == 0


async def test_failures_at_once_share_their_notes_and_all_count(scene: Scene) -> None:
    await scene.tell(*[Delivery.FAILED] * 100)
    assert scene.now.failures == 100
    assert scene.store.changes <= 3


async def test_a_success_after_failures_begins_anew(scene: Scene) -> None:
    await scene.tell(Delivery.FAILED)
    await scene.tell(Delivery.TAKEN)
    assert (scene.now.failures, scene.now.failing_since) == (0, None)


async def test_failing_for_too_long_disables_it(scene: Scene) -> None:
    await scene.tell(*[Delivery.FAILED] * 2)
    scene.clock.pass_by(minutes=1)
    await scene.tell(Delivery.FAILED)
    assert scene.now.state is EndpointState.FAILING


async def test_gone_counts_more_than_whatever_came_with_it(scene: Scene) -> None:
    await scene.tell(Delivery.TAKEN, Delivery.GONE, Delivery.FAILED)
    assert scene.now.state is EndpointState.GONE


async def test_a_note_that_cannot_be_written_is_lost_and_not_raised(scene: Scene) -> None:
    scene.store.away = True
    await scene.tell(Delivery.FAILED, Delivery.GONE)
    assert scene.now == scene.endpoint
