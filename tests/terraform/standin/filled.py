"""How a gap of moto is filled: by answering an operation that it lacks, or by remembering what it forgets.

Invariant: what neither moto nor a gap answers, and where moto stumbles, is a 400 at once and a line in the log. Left
alone it would be a 500, which the provider retries for minutes, and the run would end in a timeout that names nothing.
"""

from __future__ import annotations

import functools
import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

from flask import Response, request
from moto.core.responses import BaseResponse
from moto.core.utils import convert_to_flask_response
from werkzeug.exceptions import HTTPException

Answer = Callable[[Any, dict[str, Any]], dict[str, Any]]
ANSWERS: dict[tuple[str, str], Answer] = {}
"""By service and operation, in moto's spelling: what moto lacks."""

CODE = "UnsupportedOperation"


def answers(service: str, *operations: str) -> Callable[[Answer], Answer]:
    """Register a function of the request and its JSON body; what it returns is the JSON answer."""

    def register(answer: Answer) -> Answer:
        ANSWERS.update(dict.fromkeys(((service, operation) for operation in operations), answer))
        return answer

    return register


def lacking(owner: type[BaseResponse]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a service of moto an operation that it lacks, under the name of the function; for those that speak XML."""

    def register(operation: Callable[..., Any]) -> Callable[..., Any]:
        name = operation.__name__
        assert not hasattr(owner, name), f"moto has {owner.__name__}.{name} now: delete this gap"
        setattr(owner, name, operation)
        return operation

    return register


def wraps(owner: type, method: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Put a function in front of a method of moto's: it is called with the original, and then the arguments."""
    original = getattr(owner, method)

    def register(wrapper: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            return wrapper(original, self, *args, **kwargs)

        setattr(owner, method, functools.wraps(original)(call))
        return wrapper

    return register


def body(asked: Any) -> dict[str, Any]:
    """The JSON body of a request."""
    return dict(json.loads(asked.body or "{}"))


@wraps(BaseResponse, "call_action")
def _answer_or_refuse(original: Callable[..., Any], asked: Any) -> Any:
    try:
        return original(asked)
    except NotImplementedError:
        operation = asked._get_action()
    answer = ANSWERS.get((asked.service_name, operation))
    if answer is not None:
        return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(answer(asked, body(asked)))
    return _refused(asked, f"moto lacks {asked.service_name} {operation}")


@wraps(convert_to_flask_response, "__call__")
def _stumble(original: Callable[..., Any], view: Any, *args: Any, **kwargs: Any) -> Any:
    operation = request.headers.get("X-Amz-Target") or request.form.get("Action") or request.full_path
    try:
        response = original(view, *args, **kwargs)
    except HTTPException:
        raise
    except Exception as error:  # a KeyError of moto's, for one
        traceback.print_exc()
        print(f"moto stumbles over {operation}: {error!r}", file=sys.stderr, flush=True)
        return Response(f"moto stumbles over {operation}", 400)
    if response.status_code >= 400:  # which is often meant: the provider asks whether a thing is gone
        print(f"refused {operation}: {response.get_data(as_text=True)[:300]}", file=sys.stderr, flush=True)
    return response


def _refused(asked: Any, sentence: str) -> Any:
    print(sentence, file=sys.stderr, flush=True)
    if "X-Amz-Target" in asked.headers or "json" in (asked.headers.get("Content-Type") or ""):
        return 400, {"x-amzn-errortype": CODE}, json.dumps({"__type": CODE, "message": sentence})
    error = f"<Error><Type>Sender</Type><Code>{CODE}</Code><Message>{sentence}</Message></Error>"
    return 400, {}, f"<ErrorResponse>{error}</ErrorResponse>"
