"""`payment.process` against a gateway that keeps its charges by idempotency key, as real ones do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import NewContext, serving
from pydantic import ValidationError

from holdfast.domain.attempt import Succeeded
from holdfast.domain.errors import HandlerError, Rejected, TryLater
from holdfast.ports.downstreams import NotNow
from holdfast_demo_kinds.process_payment import GATEWAY, Payment, ProcessPayment

PAYMENT = Payment(amount=1999, currency="EUR", card="tok_visa", reference="order 7")


class Gateway:
    """Charges each idempotency key once. `script` lists what goes wrong first: a status, or `"lost"` (no answer)."""

    def __init__(self, *script: int | str) -> None:
        self.script: Iterator[int | str] = iter(script)
        self.charges: dict[str, dict[str, Any]] = {}
        self.keys: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        assert head.startswith("post /v1/charges ")
        assert headers["authorization"] == "bearer test"
        mishap = next(self.script, None)
        if isinstance(mishap, int):
            self._answer(writer, mishap, {"error": "because"})
            return
        key = headers["idempotency-key"]
        self.keys.append(key)
        self.charges.setdefault(key, {"id": f"ch_{len(self.charges) + 1}", "amount": body["amount"]})
        if mishap != "lost":
            self._answer(writer, 201, self.charges[key])

    @staticmethod
    def _answer(writer: asyncio.StreamWriter, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        writer.write(f"HTTP/1.1 {status} X\r\nRetry-After: 3\r\nConnection: close\r\n".encode())
        writer.write(f"Content-Length: {len(data)}\r\n\r\n".encode() + data)


async def charge(gateway: Gateway, new_context: NewContext, monkeypatch: pytest.MonkeyPatch, **context: Any) -> Any:
    async with serving(gateway) as port:
        monkeypatch.setenv("HOLDFAST_DEMO_GATEWAY_URL", f"http://127.0.0.1:{port}/v1/")
        monkeypatch.setenv("HOLDFAST_DEMO_GATEWAY_KEY", "test")
        return await ProcessPayment().run(new_context("payment.process", **context), PAYMENT)


async def test_a_charge_whose_answer_was_lost_is_not_made_twice(
    new_context: NewContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = Gateway("lost")
    with pytest.raises(TryLater):
        await charge(gateway, new_context, monkeypatch)
    outcome = await charge(gateway, new_context, monkeypatch, attempt=2)
    assert isinstance(outcome, Succeeded)
    assert outcome.result == {"charge": "ch_1", "amount": 1999, "currency": "EUR"}
    assert len(gateway.charges) == 1
    assert gateway.keys[0] == gateway.keys[1]


async def test_two_tenants_with_the_same_key_make_two_charges(
    new_context: NewContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = Gateway()
    await charge(gateway, new_context, monkeypatch, tenant="one")
    await charge(gateway, new_context, monkeypatch, tenant="two")
    assert len(gateway.charges) == 2


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (402, Rejected, "Declined"),
        (400, Rejected, "GatewayRefused"),
        (422, Rejected, "GatewayRefused"),
        (302, Rejected, "GatewayRefused"),
        (401, TryLater, "NotConfigured"),
        (409, TryLater, "GatewayBusy"),
        (429, TryLater, "GatewayBusy"),
        (500, TryLater, "GatewayFailed"),
        (503, TryLater, "GatewayFailed"),
    ],
)
async def test_each_refusal_is_told_apart(
    new_context: NewContext, monkeypatch: pytest.MonkeyPatch, status: int, kind: type[HandlerError], error: str
) -> None:
    gateway = Gateway(status)
    with pytest.raises(kind) as refused:
        await charge(gateway, new_context, monkeypatch)
    assert refused.value.error == error
    if status in {429, 503}:
        assert isinstance(refused.value, TryLater)
        assert refused.value.after is not None
        assert refused.value.after.total_seconds() == 3
    assert gateway.charges == {}


@pytest.mark.parametrize("change", [{"amount": 0}, {"amount": 1.5}, {"currency": "eur"}, {"card": "4111111111111111"}])
def test_a_payment_that_cannot_be_one_is_refused_at_submit(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Payment.model_validate(PAYMENT.model_dump() | change)


async def test_a_gateway_that_is_down_is_left_alone_and_no_attempt_is_spent(
    new_context: NewContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the gateway of ten other jobs went down before this one."""
    context = new_context("payment.process")
    for _ in range(10):
        with pytest.raises(TryLater):
            async with context.downstream(GATEWAY) as call:
                call.failed()
                raise TryLater("no answer")
    await context.downstreams.tell()
    gateway = Gateway()
    with pytest.raises(NotNow, match="payment:gateway may not be called now"):
        async with serving(gateway) as port:
            monkeypatch.setenv("HOLDFAST_DEMO_GATEWAY_URL", f"http://127.0.0.1:{port}/v1/")
            monkeypatch.setenv("HOLDFAST_DEMO_GATEWAY_KEY", "test")
            await ProcessPayment().run(context, PAYMENT)
    assert gateway.keys == []
