"""A small api in this process that keeps the HTTP contract, for the command line to talk to."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4

from typer.testing import Result

ENDED = {"succeeded", "cancelled", "dead"}
REQUEST_FIELDS = {
    "kind",
    "payload",
    "priority",
    "delay",
    "run_at",
    "deadline",
    "tags",
    "callback_url",
    "callback_secret",
}
Cli = Callable[..., Result]
"""Runs a command line with the given arguments."""
Reply = tuple[int, dict[str, Any], dict[str, str]]


@dataclass
class FakeApi:
    """Jobs move one state further with each look at them, along `path`."""

    path: list[str] = field(default_factory=lambda: ["queued", "running", "succeeded"])
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    letters: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    refuse: list[Reply] = field(default_factory=list)
    """Given out before anything is done, one for each request."""
    snatched: set[str] = field(default_factory=set)
    """Letters that somebody else replays just before a bulk replay would."""
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    url: str = ""

    def __enter__(self) -> FakeApi:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": self}))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add_job(self, **changes: Any) -> dict[str, Any]:
        job_id = str(uuid4())
        self.jobs[job_id] = {
            "id": job_id,
            "kind": "pdf.render",
            "state": self.path[0],
            "priority": 12,
            "attempt": 1,
            "max_attempts": 6,
            "idempotency_key": job_id,
            "callback_url": None,
            "tags": [],
            "created_at": "2026-05-01T12:00:00Z",
            "queue_wait_seconds": 0.012,
            "run_seconds": 1.5,
            "result": None,
            "failure": None,
            "links": {"self": f"/v1/jobs/{job_id}", "attempts": f"/v1/jobs/{job_id}/attempts", "artifacts": []},
        } | changes
        return self.jobs[job_id]

    def add_file(self, job: dict[str, Any], name: str, data: bytes) -> None:
        self.files[f"{job['id']}/{name}"] = data
        digest = hashlib.sha256(data).hexdigest()
        job["links"]["artifacts"].append(
            {"name": name, "href": "", "media_type": "text/plain", "size": len(data), "sha256": digest}
        )

    def add_letter(self, **changes: Any) -> dict[str, Any]:
        letter_id = str(uuid4())
        self.letters[letter_id] = {
            "id": letter_id,
            "job_id": str(uuid4()),
            "tenant": "default",
            "kind": "webhook.dispatch",
            "reason": "exhausted",
            "error": "ConnectTimeout",
            "message": "the receiver did not answer",
            "attempts": 6,
            "fingerprint": "00c0ffee00c0ffee",
            "died_at": "2026-05-01T12:00:00Z",
            "replayed_at": None,
            "dropped_at": None,
            "headers": {"x-death": []},
            "body": "[]",
        } | changes
        return self.letters[letter_id]

    # The routes

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> Reply | bytes:
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        is_json = headers.get("Content-Type") == "application/json"
        document: Any = json.loads(body) if is_json and body else body
        self.requests.append((method, parts.path, document))
        if self.refuse:
            return self.refuse.pop(0)
        match (method, *[unquote(part) for part in parts.path.strip("/").split("/")]):
            case ("POST", "v1", "jobs"):
                return self._submit(headers["Idempotency-Key"], document)
            case ("GET", "v1", "jobs"):
                fits = [it for it in self.jobs.values() if _fits(it, query, ("state", "kind"))]
                return 200, {"jobs": fits[::-1][: int(query["limit"])], "next_cursor": None}, {}
            case ("GET", "v1", "jobs", job_id) if job_id in self.jobs:
                return 200, self._step(job_id, to_end="wait" in query), {}
            case ("GET", "v1", "jobs", job_id, "attempts") if job_id in self.jobs:
                times = {"started_at": "2026-05-01T12:00:00Z", "finished_at": "2026-05-01T12:00:02Z"}
                attempt = {"number": 1, "state": "failed", "worker": "w-1", "deliveries": 1, **times}
                failure = {"reason": None, "error": "ConnectTimeout", "message": "no answer"}
                return 200, {"attempts": [attempt | {"failure": failure, "detail": None}]}, {}
            case ("GET", "v1", "jobs", job_id, "artifacts", name) if f"{job_id}/{name}" in self.files:
                return self.files[f"{job_id}/{name}"]
            case ("POST", "v1", "jobs", job_id, "cancel") if job_id in self.jobs:
                if self.jobs[job_id]["state"] in {"succeeded", "dead"}:
                    return problem(409, "Not cancellable", f"job {job_id} is {self.jobs[job_id]['state']}")
                self.jobs[job_id]["state"] = "cancelled"
                return 200, self.jobs[job_id], {}
            case ("POST", "v1", "uploads"):
                digest = hashlib.sha256(body).hexdigest()
                upload = {"id": "u-1", "size": len(body), "sha256": digest, "media_type": headers["Content-Type"]}
                return 201, upload, {}
            case ("GET", "v1", "kinds"):
                schema = {"properties": {"html": {}, "name": {}}, "required": ["html"]}
                kind = {"kind": "pdf.render", "queue": "pdf", "schema": schema, "max_attempts": 6}
                return 200, {"kinds": [kind | {"time_limit_seconds": 90.0}]}, {}
            case ("GET", "v1", "dead-letters"):
                return 200, {"dead_letters": self._letters(query)[: int(query["limit"])], "next_cursor": None}, {}
            case ("GET", "v1", "dead-letters", "groups"):
                return 200, {"groups": self._groups(query)[: int(query["limit"])]}, {}
            case ("GET", "v1", "dead-letters", letter_id) if letter_id in self.letters:
                return 200, self.letters[letter_id], {}
            case ("POST", "v1", "dead-letters", "replay"):
                return self._replay_all(document)
            case ("POST", "v1", "dead-letters", letter_id, "replay") if letter_id in self.letters:
                letter = self.letters[letter_id] | {"replayed_at": "2026-05-02T12:00:00Z"}
                self.letters[letter_id] = letter
                return 202, self.add_job(id=letter["job_id"], kind=letter["kind"]), {}
            case ("POST", "v1", "dead-letters", letter_id, "drop") if letter_id in self.letters:
                self.letters[letter_id] |= {
                    "dropped_at": "2026-05-02T12:00:00Z",
                    "dropped_by": "tester",
                    "drop_reason": document["reason"],
                }
                return 200, self.letters[letter_id], {}
        return problem(404, "Not found", f"there is nothing at {parts.path}")

    def _submit(self, key: str, request: dict[str, Any]) -> Reply:
        if unknown := sorted(request.keys() - REQUEST_FIELDS):
            errors = [{"pointer": f"/{name}", "detail": "is not a field of a job"} for name in unknown]
            return problem(422, "Invalid request", None, errors=errors)
        if request["kind"] != "pdf.render":
            errors = [{"pointer": "/kind", "detail": "no handler; known kinds: pdf.render"}]
            return problem(422, "Unknown kind", "nobody runs this kind", errors=errors)
        known = next((it for it in self.jobs.values() if it["idempotency_key"] == key), None)
        if known:
            return 202, known, {"Idempotent-Replayed": "true"}
        changes = {"tags": request.get("tags", []), "callback_url": request.get("callback_url")}
        return 202, self.add_job(idempotency_key=key, **changes), {}

    def _step(self, job_id: str, to_end: bool) -> dict[str, Any]:
        job = self.jobs[job_id]
        shown = dict(job)
        if job["state"] not in ENDED and job["state"] in self.path[:-1]:
            job["state"] = self.path[-1] if to_end else self.path[self.path.index(job["state"]) + 1]
        if job["state"] == "dead":
            job["failure"] = {"reason": "rejected", "error": "BadHtml", "message": "the template is wrong"}
        return dict(job) if to_end else shown

    def _letters(self, query: dict[str, str]) -> list[dict[str, Any]]:
        return [
            it
            for it in self.letters.values()
            if _fits(it, query, ("kind", "reason", "fingerprint"))
            and query.get("error", "").lower() in (it["error"] + it["message"]).lower()
            and query.get("since", "") <= it["died_at"] <= query.get("until", "9")
            and ("settled" in query or not (it["replayed_at"] or it["dropped_at"]))
        ]

    def _groups(self, query: dict[str, str]) -> list[dict[str, Any]]:
        together: dict[str, list[dict[str, Any]]] = {}
        for letter in self._letters(query):
            together.setdefault(letter["fingerprint"], []).append(letter)
        words = ("fingerprint", "kind", "reason", "error", "message")
        return [
            {name: found[-1][name] for name in words}
            | {"count": len(found), "first_seen": found[0]["died_at"], "last_seen": found[-1]["died_at"]}
            for found in sorted(together.values(), key=len, reverse=True)
        ]

    def _replay_all(self, request: dict[str, Any]) -> Reply:
        fits = [it for it in self._letters(request["filter"]) if it["job_id"]]
        fits = fits[: request.get("limit", len(fits))]
        chosen = [] if request["dry_run"] else [it for it in fits if it["id"] not in self.snatched]
        for letter in fits if not request["dry_run"] else []:
            letter["replayed_at"] = "2026-05-02T12:00:00Z"
        skipped = 0 if request["dry_run"] else len(fits) - len(chosen)
        done = {"matched": len(fits), "replayed": len(chosen), "skipped": skipped, "dry_run": request["dry_run"]}
        return 200, done, {}


def problem(status: int, title: str, detail: str | None, **more: Any) -> Reply:
    body = {"type": f"/problems/{status}", "title": title, "status": status, "detail": detail} | more
    return status, body, {"Content-Type": "application/problem+json"}


def _fits(item: dict[str, Any], query: dict[str, str], names: tuple[str, ...]) -> bool:
    return all(item[name] == query[name] for name in names if name in query)


class _Handler(BaseHTTPRequestHandler):
    api: FakeApi
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        reply = self.api.answer(self.command, self.path, self.headers, body)
        status, headers, content = 200, {"Content-Type": "text/plain"}, b""
        if isinstance(reply, bytes):
            content = reply
        else:
            status, content = reply[0], json.dumps(reply[1]).encode()
            headers = {"Content-Type": "application/json"} | reply[2]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _handle  # noqa: N815 (http.server's names)

    def log_message(self, format: str, *args: Any) -> None:
        pass
