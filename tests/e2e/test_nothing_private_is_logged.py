"""Secrets and payloads, marked, through every kind, every way to fail, and the keys: no log and no message has a mark.

Nor has the ledger the text of a key. The platform is one of its own, whose every line is read at the end.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import asyncpg
import httpx
import pytest
from receiver import Receiver
from sqlalchemy import make_url

from harness import Platform, eventually
from holdfast.domain.job import ENDED
from holdfast.settings import Settings

MARK = "Xq7MARKEDzW"
SECRET = "whsec_" + base64.b64encode(f"{MARK}-and-some-more-bytes".encode()).decode()
ENCODED = (MARK, base64.b64encode(MARK.encode()).decode()[:14], MARK.encode().hex())
"""What to look for: as it is, and as two of the encodings that a careless line could use."""
WORKERS = ("worker-render", "worker-webhook")


@pytest.fixture(scope="module")
def own(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Everything in processes of its own, the steward too; the workers not yet."""
    running = Platform(module_settings, tmp_path_factory.mktemp("marked"))
    try:
        running.start("api", steward_in_api=False, log_level="DEBUG")
        running.start("steward", log_level="DEBUG")
        running.wait_ready("api")
        yield running
    finally:
        running.stop_all()


def marked(receiver: Receiver, upload: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """A job of every kind and every way to end, each full of marks."""
    private = {"secret": SECRET, "headers": {"Authorization": f"Bearer {MARK}"}, "body": {"card": MARK}}
    hook = f"{receiver.url}/{MARK}?token={MARK}"
    closed = f"http://{MARK}:{MARK}@127.0.0.1:9/{MARK}"
    variant = {"variants": [{"name": "a", "width": 10}]}
    return {
        "delivered": ("webhook.dispatch", private | {"url": hook}),
        "refused": ("webhook.dispatch", private | {"url": f"{receiver.url}/{MARK}", "secret": OTHER}),
        "unreachable": ("webhook.dispatch", private | {"url": closed.replace(f"{MARK}:{MARK}@", "")}),
        "rendered": ("pdf.render", {"template": "<p>{{ card }}</p>", "data": {"card": MARK}}),
        "not rendered": ("pdf.render", {"template": f"{{{{ {MARK}.x }}}}", "data": {"y": MARK}}),
        "broken template": ("pdf.render", {"template": f"{{% {MARK} %}}", "data": {}}),
        "no asset": ("pdf.render", {"html": f"<img src='http://127.0.0.1:9/{MARK}?t={MARK}'>"}),
        "no image": ("image.transform", {"source": {"upload": upload}, **variant}),
        "no source": ("image.transform", {"source": {"url": f"http://127.0.0.1:9/{MARK}?token={MARK}"}, **variant}),
        "surprise": ("test.flaky", {"surprise": True, "say": MARK}),
        "rejected": ("test.flaky", {"reject": True, "say": MARK}),
        "kept": ("test.keep", {"say": MARK}),
    }


OTHER = "whsec_" + base64.b64encode(f"another {MARK} with 24 bytes".encode()).decode()


def test_no_mark_reaches_a_log_a_message_or_the_keys(own: Platform) -> None:
    with Receiver(SECRET) as receiver, own.client() as api:
        key, headers = _keys(own, api)
        api.headers.update(headers)
        upload = api.post("/v1/uploads", content=MARK.encode()).json()["id"]
        jobs = {
            name: api.post("/v1/jobs", json={"kind": kind, "payload": payload, "callback_url": receiver.url} | CALLBACK)
            for name, (kind, payload) in marked(receiver, upload).items()
        }
        assert {name: answer.status_code for name, answer in jobs.items()} == dict.fromkeys(jobs, 202)
        _refused_requests(api)
        messages = _messages(own)
        assert sum(map(len, messages.values())) >= len(jobs), "there was something to look at"
        assert not _marks(json.dumps(messages)), "a message in RabbitMQ"

        for worker in WORKERS:
            own.start(worker, log_level="DEBUG")
        own.wait_ready(*WORKERS)
        ended = {name: _ended(api, answer.json()["id"]) for name, answer in jobs.items()}
        expected = {"delivered": "succeeded", "rendered": "succeeded", "kept": "succeeded", "surprise": "dead"}
        assert {name: ended[name]["state"] for name in expected} == expected
        _signed_links(own, ended["kept"])
        _operators(api, len([job for job in ended.values() if job["state"] == "dead"]))
        assert not _marks(json.dumps(_messages(own))), "a message in RabbitMQ"

        lines = {name: member.log.read_text() for name, member in own.members.items()}
        for name, text in lines.items():
            assert len(text.splitlines()) > 5, f"{name} logged nothing, so this shows nothing"
            found = [line for line in text.splitlines() if _marks(line) or key in line]
            assert not found, f"{name} logged what is private: {found[0][:2000]}"
        assert "ZeroDivisionError" in lines["worker-webhook"], "the surprise was logged, without what it says"
        dump = _dump(own)
        assert key not in dump and key[9:25] not in dump, "the text of a key is in the database"
        assert "api_keys" in dump


CALLBACK = {"callback_secret": SECRET}


def _keys(own: Platform, api: httpx.Client) -> tuple[str, dict[str, str]]:
    """A key that may do everything, after one that was refused."""
    made = api.post("/v1/keys", json={"name": "all", "roles": ["submit", "read", "operate", "admin"]}).json()
    for wrong in (f"Bearer hf_{MARK}{MARK}", f"Basic {MARK}", f"Bearer {MARK}"):
        assert api.get("/v1/jobs", headers={"Authorization": wrong}).status_code == 401
    return made["key"], {"Authorization": f"Bearer {made['key']}"}


def _refused_requests(api: httpx.Client) -> None:
    """Bodies, queries and paths that are wrong, and hold a mark."""
    as_json = {"Content-Type": "application/json"}
    wrong = [
        api.post("/v1/jobs", json={"kind": "pdf.render", "payload": {"html": MARK, "htmk": MARK}}),
        api.post("/v1/jobs", json={"kind": "webhook.dispatch", "payload": {"url": f"ftp://{MARK}", "secret": MARK}}),
        api.post("/v1/jobs", content=f'{{"kind": "{MARK}'.encode(), headers=as_json),
        api.post("/v1/jobs", content=f'{{"{MARK}\\ud800": 1}}'.encode(), headers=as_json),
        api.get("/v1/jobs", params={"cursor": MARK}),
        api.post("/v1/jobs", json={"kind": "test.noop", "payload": {}}, headers={"Idempotency-Key": f"a {MARK}"}),
        api.get(f"/v1/{MARK}"),
    ]
    assert {answer.status_code for answer in wrong} <= {400, 404, 422}


def _ended(api: httpx.Client, job_id: str) -> dict[str, Any]:
    """The job when it has ended; one that goes on failing after its second attempt is cancelled."""

    def look() -> dict[str, Any]:
        job: dict[str, Any] = api.get(f"/v1/jobs/{job_id}", params={"wait": 5}).json()
        if job["kind"] != "test.flaky" and job["attempt"] > 2 and job["state"] not in ENDED:
            return dict(api.post(f"/v1/jobs/{job_id}/cancel", json={"reason": MARK}).json())
        return job

    return eventually(look, lambda job: job["state"] in ENDED, within=90)


def _signed_links(own: Platform, job: dict[str, Any]) -> None:
    """A good link, and a forged one."""
    href = job["links"]["artifacts"][0]["href"]
    with own.client() as anybody:
        assert anybody.get(href).status_code == 200
        assert anybody.get(f"{href.split('?')[0]}?expires=1&signature={MARK}").status_code == 403


def _operators(api: httpx.Client, dead: int) -> None:
    """Replay one letter, drop the others, both with reasons that are nobody's business."""
    letters = eventually(
        lambda: api.get("/v1/dead-letters").json()["dead_letters"], lambda found: len(found) >= dead, within=30
    )
    first, *others = sorted(letters, key=lambda letter: letter["kind"] != "test.flaky")
    assert api.post(f"/v1/dead-letters/{first['id']}/replay", json={"reason": MARK}).status_code == 202
    for letter in others:
        assert api.post(f"/v1/dead-letters/{letter['id']}/drop", json={"reason": MARK}).status_code == 200
    _ended(api, first["job_id"])


def _messages(own: Platform) -> dict[str, list[Any]]:
    """Every message that waits in RabbitMQ, as its management UI shows it; they stay where they are."""
    management = urlsplit(own.settings.rabbitmq_management_url.get_secret_value())
    vhost = quote(urlsplit(own.settings.rabbitmq_url.get_secret_value()).path[1:], safe="")
    asked = {"count": 1000, "ackmode": "ack_requeue_true", "encoding": "base64"}
    credentials = (management.username or "", management.password or "")
    base = f"http://{management.hostname}:{management.port}/api"
    with httpx.Client(base_url=base, auth=credentials, timeout=60) as broker:
        queues = [queue["name"] for queue in broker.get(f"/queues/{vhost}").json() if queue["type"] == "quorum"]
        found = {name: broker.post(f"/queues/{vhost}/{name}/get", json=asked).json() for name in queues}
    for message in (message for messages in found.values() for message in messages):
        message["payload"] = base64.b64decode(message["payload"]).decode("utf-8", "replace")
    return found


def _dump(own: Platform) -> str:
    """Every row of every table, as text."""
    url = make_url(own.settings.postgres_url.get_secret_value()).set(drivername="postgresql")

    async def rows() -> str:
        connection = await asyncpg.connect(url.render_as_string(hide_password=False))
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        parts = []
        for table in tables:
            found = await connection.fetch(f'SELECT row_to_json(t)::text AS row FROM "{table["tablename"]}" t')
            parts.append("\n".join([table["tablename"], *(row["row"] for row in found)]))
        await connection.close()
        return "\n".join(parts)

    return asyncio.run(rows())


def _marks(text: str) -> bool:
    return any(mark in text for mark in ENCODED)
