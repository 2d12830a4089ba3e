"""The api against its own document: whatever the schema allows or forbids, no 5xx, and nothing that is not documented.

The more seconds, the more requests, drawn from the seed. They go to the real api with its real services; workers run
what it accepts.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import booleans
from schemathesis import checks
from schemathesis.core.failures import FailureGroup
from schemathesis.openapi import from_dict
from schemathesis.specs.openapi import checks as documented

from harness import Platform, eventually
from holdfast.api.app import create
from holdfast.settings import Settings

A_SECOND = 1.7
"""Requests for each operation and second that is given: 20 of them, valid and invalid ones, in the suite."""
SCHEMA = from_dict(create(Settings()).openapi())
OPERATIONS = {
    f"{method.upper()} {path}": (path, method.upper())
    for path, item in SCHEMA.raw_schema["paths"].items()
    for method in item
}
CHECKS = [
    checks.not_a_server_error,
    documented.status_code_conformance,
    documented.content_type_conformance,
    documented.response_schema_conformance,
    documented.response_headers_conformance,
]
KNOBS = settings(
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def things(platform: Platform) -> dict[str, str]:
    """The id of something that exists, by the name of the parameter that asks for one."""
    with platform.client() as api:
        job = api.post("/v1/jobs", json={"kind": "test.flaky", "payload": {"reject": True}}).json()
        key = api.post("/v1/keys", json={"name": f"fuzz-{uuid4()}"}).json()
        api.get(f"/v1/jobs/{job['id']}", params={"wait": 20})
        letters = api.get("/v1/dead-letters").json()["dead_letters"]
    return {"job_id": job["id"], "key_id": key["id"], "letter_id": letters[0]["id"] if letters else str(uuid4())}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_answers_as_its_document_says(
    operation: str, platform: Platform, things: dict[str, str], seconds: float, fuzz_seed: int
) -> None:
    path, method = OPERATIONS[operation]
    target = SCHEMA[path][method]
    valid = target.as_strategy()
    invalid = target.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)

    @seed(fuzz_seed)
    @settings(KNOBS, max_examples=int(A_SECOND * seconds))
    @given(case=valid | invalid, there=booleans())
    def check(case: schemathesis.Case, there: bool) -> None:
        if there:
            case.path_parameters |= {name: it for name, it in things.items() if name in case.path_parameters}
        if "wait" in (case.query or {}):
            case.query["wait"] = 0
        # 503 once is a service that did not answer in time, and Redis is left alone for a second after that.
        answer = eventually(
            lambda: case.call(base_url=platform.url, timeout=60),
            lambda seen: seen.status_code != 503,
            within=10,
            every=1.5,
        )
        case.validate_response(answer, checks=CHECKS)

    check()


def test_the_checks_find_an_answer_that_is_not_documented(platform: Platform) -> None:
    """Without this the test above might look at nothing."""
    raw = create(Settings()).openapi()
    raw["paths"]["/v1/kinds"]["get"]["responses"] = {"200": {"description": "?", "content": {"text/plain": {}}}}
    case = from_dict(raw)["/v1/kinds"]["GET"].Case()
    with pytest.raises(FailureGroup, match="Undocumented Content-Type"):
        case.call_and_validate(base_url=platform.url, checks=CHECKS)


def test_every_operation_tells_which_problems_it_may_answer_with(platform: Platform) -> None:
    document: dict[str, Any] = httpx.get(f"{platform.url}/openapi.json", timeout=60).json()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            told = {status for status in operation["responses"] if status >= "400"}
            assert told >= {"422", "500", "503", "default"}, (method, path)
            if path.startswith("/v1/") and path != "/v1/kinds":
                assert told >= {"401", "403"}, (method, path)
                assert operation["security"], (method, path)
            for status in told:
                assert list(operation["responses"][status]["content"]) == ["application/problem+json"], (method, path)
