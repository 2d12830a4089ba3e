"""`holdfast secrets reseal` on a ledger with jobs under an old key, and with jobs from before there was a vault."""

from __future__ import annotations

from dataclasses import replace

from ledger_stores import Stores

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.job_secrets import PostgresJobSecrets
from holdfast.adapters.vault import FernetVault, new_key
from holdfast.domain.endpoint import SigningSecret
from holdfast.engine.reseal import Reseal
from holdfast.handlers.registry import installed
from ledger_world import NOW, make_endpoint

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD, NEW = new_key(), new_key()


async def test_every_secret_in_the_ledger_comes_under_the_newest_key(database: Database) -> None:
    stores, old = Stores.in_postgres(database), FernetVault([OLD])
    webhook = {"url": "https://a.example/x", "body": "\0 {\u2028", "secret": old.seal(SECRET)}
    jobs = [
        stores.new(kind="webhook.dispatch", payload=webhook),
        stores.new(kind="webhook.dispatch", payload={**webhook, "secret": SECRET}),
        stores.new(callback_url="https://a.example/x", callback_secret=SECRET),
        stores.new(kind="gone.plugin", callback_url="https://a.example/x", callback_secret=old.seal(SECRET)),
        plain := stores.new(payload={"say": SECRET}),
    ]
    await stores.ledger.accept(jobs)
    work = Reseal(PostgresJobSecrets(database), stores.endpoints, installed(), FernetVault([NEW, OLD]))
    endpoint = make_endpoint(
        tenant=stores.tenant, secrets=(SigningSecret(old.seal(SECRET), NOW),), headers={"X-A": old.seal("a")}
    )
    await stores.endpoints.add(endpoint)
    assert await work.endpoints() >= 1
    assert await work.endpoints() == 0
    assert await work.jobs() >= 4
    assert await work.jobs() == 0, "nothing is left to do"
    new = FernetVault([NEW])
    first, second, third, fourth, last = [await stores.now(job) for job in jobs]
    for job in (first, second):
        assert new.open(job.payload["secret"]) == SECRET
        assert job.payload == {**webhook, "secret": job.payload["secret"]}, "the rest of the payload is as it was"
    assert [new.open(str(job.callback_secret)) for job in (third, fourth)] == [SECRET, SECRET]
    moved = await stores.endpoints.get(endpoint.id)
    assert moved is not None
    assert [new.open(it.sealed) for it in moved.secrets] == [SECRET]
    assert new.open(moved.headers["X-A"]) == "a"
    assert last == replace(plain), "a field that is no secret is left alone"
