"""Webhooks to an endpoint: what it says when they are delivered counts, and it is told what became of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError
from test_webhook_dispatch import NOON, SECRET, Scripted, answering, context

from holdfast.domain.attempt import Bury, Outcome, Park, Retry, Succeeded
from holdfast.domain.endpoint import Endpoint, EndpointState
from holdfast.handlers.webhook import WebhookDispatch, WebhookPayload
from holdfast.handlers.webhook.signature import verify
from holdfast.ports.egress import Forbidden, Unreachable
from holdfast.ports.receivers import Delivery, Receiver
from ledger_world import make_endpoint

OLD = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


class One:
    """Receivers with one endpoint of the tenant `t`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.found = Receiver(endpoint, {"X-Shop": "harbour", "X-A": "theirs"}, (SECRET, OLD))
        self.told: list[tuple[UUID, Delivery]] = []

    async def exists(self, tenant: str, endpoint_id: UUID) -> bool:
        return True

    async def receiver(self, tenant: str, endpoint_id: UUID) -> Receiver | None:
        return self.found if (tenant, endpoint_id) == ("t", self.found.endpoint.id) else None

    async def tell(self, endpoint_id: UUID, delivery: Delivery) -> None:
        self.told.append((endpoint_id, delivery))


async def deliver(receivers: One, egress: Scripted, **fields: Any) -> Outcome:
    asked = {"endpoint_id": str(receivers.found.endpoint.id), "body": {"a": 1}} | fields
    about = context(egress)
    about.receivers = receivers
    return await WebhookDispatch(now=lambda: NOON).run(about, WebhookPayload.model_validate(asked))


async def test_it_goes_to_the_endpoint_with_its_headers_and_a_signature_for_each_secret() -> None:
    receivers, egress = One(make_endpoint()), answering(204)
    outcome = await deliver(receivers, egress, headers={"X-a": "ours"})
    assert isinstance(outcome, Succeeded)
    url, body, headers, _, _ = egress.sent[0]
    assert url == receivers.found.endpoint.url
    assert (headers["x-shop"], headers["x-a"]) == ("harbour", "ours")
    assert verify(headers, body, [SECRET], now=NOON) == verify(headers, body, [OLD], now=NOON)
    assert receivers.told == [(receivers.found.endpoint.id, Delivery.TAKEN)]


@pytest.mark.parametrize("state", [EndpointState.DISABLED, EndpointState.FAILING, EndpointState.GONE])
async def test_while_it_is_not_enabled_the_job_is_parked_and_nothing_is_sent(state: EndpointState) -> None:
    receivers, egress = One(make_endpoint(state=state, why="because")), answering(204)
    outcome = await deliver(receivers, egress)
    assert isinstance(outcome, Park)
    assert (outcome.parked_by, outcome.wait) == (receivers.found.endpoint.id, timedelta(days=1))
    assert "because" in outcome.why
    assert (egress.sent, receivers.told) == ([], [])


@pytest.mark.parametrize("fields", [{}, {"endpoint_id": "0190c2f0-0000-7000-8000-000000000009"}])
async def test_a_deleted_or_foreign_endpoint_ends_the_job(fields: dict[str, Any]) -> None:
    receivers, egress = One(make_endpoint(state=EndpointState.DELETED)), answering(204)
    outcome = await deliver(receivers, egress, **fields)
    assert isinstance(outcome, Bury)
    assert (outcome.failure.error, egress.sent) == ("EndpointDeleted", [])


async def test_an_event_that_it_does_not_want_succeeds_without_a_delivery() -> None:
    receivers, egress = One(make_endpoint(event_types=("order.paid",))), answering(204)
    outcome = await deliver(receivers, egress, event_type="order.refunded")
    assert isinstance(outcome, Succeeded)
    assert "does not want" in outcome.result["skipped"]
    assert egress.sent == []
    assert isinstance(await deliver(receivers, egress, event_type="order.paid"), Succeeded)
    assert len(egress.sent) == 1


async def test_a_410_disables_it_and_parks_the_job() -> None:
    receivers = One(make_endpoint())
    outcome = await deliver(receivers, answering(410))
    assert isinstance(outcome, Park)
    assert outcome.parked_by == receivers.found.endpoint.id
    assert outcome.detail is not None
    assert outcome.detail["status"] == 410
    assert receivers.told == [(receivers.found.endpoint.id, Delivery.GONE)]


async def test_it_is_told_of_every_failure() -> None:
    receivers = One(make_endpoint())
    assert isinstance(await deliver(receivers, answering(500)), Retry)
    with pytest.raises(Unreachable):
        await deliver(receivers, Scripted(Unreachable("no answer", error="ConnectTimeout")))
    with pytest.raises(Forbidden):
        await deliver(receivers, Scripted(Forbidden("a private address")))
    assert [delivery for _, delivery in receivers.told] == [Delivery.FAILED] * 3


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "https://a.example/x"},
        {"endpoint_id": None},
        {"secret": SECRET},
        {"secrets": [SECRET]},
        {"endpoint_id": "not an id"},
    ],
)
def test_a_payload_names_a_url_or_an_endpoint_and_an_endpoint_has_its_own_secrets(fields: dict[str, Any]) -> None:
    asked = {"endpoint_id": str(make_endpoint().id), "body": 1} | fields
    with pytest.raises(ValidationError):
        WebhookPayload.model_validate(asked)


def test_a_receiver_does_not_print_its_secrets() -> None:
    receivers = One(make_endpoint())
    assert SECRET not in repr(receivers.found)
    assert "harbour" not in repr(receivers.found)
