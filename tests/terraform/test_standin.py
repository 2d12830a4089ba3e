"""The stand-in fails fast, and fills no gap that moto has closed."""

from __future__ import annotations

import importlib
import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from moto import backends
from moto.core.responses import BaseResponse
from moto.core.utils import camelcase_to_underscores, method_names_from_class
from standin import filled, gaps
from standin.running import StandIn, running


def test_what_moto_lacks_is_refused_at_once_and_named(tmp_path: Path) -> None:
    """A 500 would be asked again for minutes."""
    with running(tmp_path) as standin:
        _refused(standin)


def _refused(standin: StandIn) -> None:
    headers = {
        "X-Amz-Target": "AWSBudgetServiceGateway.DescribeBudgetActionHistories",
        "Content-Type": "application/x-amz-json-1.1",
        "Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/budgets/aws4_request, Signature=0",
    }
    request = urllib.request.Request(standin.url, data=b"{}", headers=headers, method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    assert refused.value.code == 400
    assert json.loads(refused.value.read())["message"] == "moto lacks budgets DescribeBudgetActionHistories"
    assert standin.lacks == ["moto lacks budgets DescribeBudgetActionHistories"]


def test_every_answer_is_one_that_moto_lacks() -> None:
    assert gaps.__all__ and filled.ANSWERS
    for service, operation in filled.ANSWERS:
        responses = _responses(service)
        assert camelcase_to_underscores(operation) not in method_names_from_class(responses), (
            f"moto has {operation} now"
        )


def _responses(service: str) -> type:
    module = importlib.import_module(backends.get_backend(service).backend.__module__.replace(".models", ".responses"))
    own = [one for one in vars(module).values() if isinstance(one, type) and one.__module__ == module.__name__]
    (responses,) = [one for one in own if issubclass(one, BaseResponse)]
    return responses
