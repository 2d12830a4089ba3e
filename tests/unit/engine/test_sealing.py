"""What a payload's schema calls secret is sealed before the ledger sees it, and opened for the handler alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from engine_world import World, ticket
from pydantic import BaseModel, ConfigDict, SecretStr

from holdfast.adapters.vault import FernetVault, new_key
from holdfast.domain.attempt import Outcome, Succeeded
from holdfast.domain.errors import IdempotencyMismatch
from holdfast.domain.job import JobState
from holdfast.engine.sealing import reseal, secret_fields
from holdfast.handlers.webhook import WebhookPayload
from holdfast.ports.handler import Context
from holdfast.ports.vault import SEALED
from ledger_world import make_request

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Login(BaseModel):
    user: str
    password: SecretStr


class Guarded(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    say: str
    key: SecretStr | None = None
    logins: list[Login] = []


@pytest.fixture
def guarded(world: World) -> Iterator[World]:
    type(world.echo).Payload, before = Guarded, type(world.echo).Payload
    yield world
    type(world.echo).Payload = before


def test_secret_fields_are_those_whose_schema_has_anything_that_is_only_written() -> None:
    assert secret_fields(Guarded) == {"key", "logins"}
    assert secret_fields(WebhookPayload) == {"secret", "secrets", "headers"}


async def test_a_secret_reaches_the_handler_and_never_the_ledger(guarded: World) -> None:
    seen: list[Any] = []

    async def act(_: Context, payload: Guarded) -> Outcome:
        seen.append(payload)
        return Succeeded({})

    guarded.echo.act = act
    payload = {"say": "hello", "key": SECRET, "logins": [{"user": "ann", "password": "hunter2"}]}
    job = await guarded.accepted(payload=payload, callback_url="https://a.example/x", callback_secret=SECRET)
    kept = repr(guarded.ledger.records)
    assert SECRET not in kept
    assert "hunter2" not in kept
    assert SECRET not in repr(guarded.broker.published)
    assert job.payload["say"] == "hello"
    await guarded.execute.execute(ticket(guarded.broker.published[-1]))
    assert seen == [Guarded.model_validate(payload)]
    assert SECRET not in repr(guarded.ledger.records)


async def test_the_secret_of_a_callback_is_still_sealed_in_the_job_that_makes_it(guarded: World) -> None:
    await guarded.accepted(callback_url="https://a.example/x", callback_secret=SECRET)
    await guarded.execute.execute(ticket(guarded.broker.published[-1]))
    [told] = [r.job for r in guarded.ledger.records.values() if r.job.kind == "webhook.dispatch"]
    assert told.payload["secret"].startswith(SEALED)
    assert guarded.vault.open(told.payload["secret"]) == SECRET


async def test_a_repeated_request_finds_its_job_although_its_secret_is_sealed(guarded: World) -> None:
    request = make_request(key="k", payload={"say": "a", "key": SECRET})
    first = await guarded.submit.submit(request)
    again = await guarded.submit.submit(request)
    assert (again.replayed, again.job.id) == (True, first.job.id)


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"payload": {"say": "a", "key": "another"}}, ["/payload/key"]),
        ({"payload": {"say": "b", "key": SECRET}}, ["/payload/say"]),
    ],
)
async def test_a_request_that_differs_says_in_what_and_only_in_that(
    guarded: World, changes: dict[str, Any], differs: list[str]
) -> None:
    await guarded.submit.submit(make_request(key="k", payload={"say": "a", "key": SECRET}))
    with pytest.raises(IdempotencyMismatch) as refused:
        await guarded.submit.submit(make_request(key="k", **changes))
    assert list(refused.value.differs) == differs


async def test_a_secret_that_no_key_opens_fails_the_attempt_and_says_what_to_do(guarded: World) -> None:
    job = await guarded.accepted(payload={"say": "a", "key": SECRET})
    record = guarded.ledger.records[job.id]
    foreign = FernetVault([new_key()]).seal(SECRET)
    record.job = replace(record.job, payload={"say": "a", "key": foreign})
    await guarded.execute.execute(ticket(guarded.broker.published[-1]))
    now = await guarded.job(job)
    assert (now.state, now.failure and now.failure.error) == (JobState.WAITING, "SecretUnreadable")
    assert "HOLDFAST_ENCRYPTION_KEYS" in str(now.failure)


def test_resealing_moves_what_is_old_or_clear_to_the_newest_key_and_leaves_the_rest() -> None:
    old, new = new_key(), new_key()
    before, during, after = FernetVault([old]), FernetVault([new, old]), FernetVault([new])
    payload = {"url": "https://a.example", "secret": before.seal(SECRET), "headers": {"X-Key": "in the clear"}}
    fresh = reseal(during, WebhookPayload, payload)
    assert fresh is not None
    assert (fresh["url"], after.open(fresh["secret"])) == ("https://a.example", SECRET)
    assert after.open(fresh["headers"]) == {"X-Key": "in the clear"}
    assert reseal(during, WebhookPayload, fresh) is None
