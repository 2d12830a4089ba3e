"""One call over HTTP: send, repeat while that is safe and there is time, and turn refusals into errors.

    send ──► 2xx ────────────────────────────────► answer
      ▲  └─► connection error, 429, 502, 503, 504 ─► pause (Retry-After, jitter) ─┐
      │  └─► other 4xx, 5xx ─────────────────────► ProblemError                   │
      └───────────────────────── while the deadline allows ───────────────────────┘

Every call has an end: no request starts after the deadline of its call, or waits for bytes longer than until then.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from holdfast.client.errors import ForeignAnswer, NotNow, ProblemError, Unreachable
from holdfast.client.models import Problem
from holdfast.client.patience import Patience, seconds_of

Model = TypeVar("Model", bound=BaseModel)
log = logging.getLogger("holdfast.client")

OVERLOADED = frozenset({429, 503})
"""The server says that it did nothing."""
UNCERTAIN = frozenset({502, 504})
"""A proxy says that it does not know."""
IN_FLIGHT = 409
"""To a request with a key: the first one with this key has no answer yet."""


class Repeat(Enum):
    """When a request may be sent again."""

    KEYED = auto()
    """Always, and also when an earlier request with its Idempotency-Key is still in flight."""
    ALWAYS = auto()
    """Doing it twice is the same as doing it once."""
    UNSENT = auto()
    """Only when the server cannot have done it: the connection failed, or it said that it is overloaded."""


class Wire:
    """The connection to one api. `sleep`, `clock` and `draw` are arguments so that tests need no time."""

    def __init__(
        self,
        url: str,
        api_key: str | None,
        patience: Patience,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        headers = {"Accept": "application/json, application/problem+json", "User-Agent": "holdfast-client"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self.url = url.rstrip("/")
        self.patience, self.sleep, self.clock, self._draw = patience, sleep, clock, draw
        self._http = httpx.Client(base_url=self.url, headers=headers, transport=transport)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        repeat: Repeat = Repeat.ALWAYS,
        within: float | None = None,
        answer_within: float | None = None,
        accept: frozenset[int] = frozenset(),
        **request: Any,
    ) -> httpx.Response:
        """Return the 2xx answer (or one whose status is in `accept`); raise ProblemError or Unreachable.

        `within` replaces the patience's total, `answer_within` its time for one answer; both in seconds.
        """
        one_answer = answer_within or self.patience.per_request
        until = self.clock() + (self.patience.total if within is None else within)
        failures = 0
        while True:
            response, failure = self._once(method, path, until, one_answer, repeat, accept, request)
            if response is not None:
                return response
            failures += 1
            assert failure is not None  # noqa: S101 (one of the two is always there)
            retry_after = failure.retry_after if isinstance(failure, ProblemError) else None
            pause = self.patience.pause(failures, self._draw(), retry_after)
            if self.clock() + pause >= until:
                raise failure
            log.info("%s; sending it again in %.1f s", failure, pause)
            self.sleep(pause)

    def _once(
        self,
        method: str,
        path: str,
        until: float,
        one_answer: float,
        repeat: Repeat,
        accept: frozenset[int],
        request: Mapping[str, Any],
    ) -> tuple[httpx.Response | None, ProblemError | Unreachable | None]:
        """One request: its answer, or a failure after which another may be sent; raises when none may."""
        left = max(until - self.clock(), 0.0)
        timeout = max(min(one_answer, left) if left else one_answer, 0.05)
        try:
            response = self._http.request(
                method, path, timeout=httpx.Timeout(timeout, connect=min(timeout, 5.0)), **request
            )
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.TooManyRedirects, httpx.DecodingError) as error:
            raise ForeignAnswer(self.url, f"{error!r}; is this the address of the api?") from error
        except httpx.TransportError as error:
            failure = Unreachable(self.url, _why(error, timeout))
            if repeat is Repeat.UNSENT and not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
                raise failure from error
            return None, failure
        if response.is_success or response.status_code in accept:
            return response, None
        if response.is_redirect:
            raise ForeignAnswer(
                self.url, f"it redirects to {response.headers.get('Location')}; is that the address of the api?"
            )
        problem = problem_of(response)
        if not _repeatable(problem, repeat):
            raise problem
        return None, problem

    def parse(self, model: type[Model], response: httpx.Response, **extra: Any) -> Model:
        """Read an answer as `model`; ForeignAnswer when it is nothing that Holdfast would say."""
        try:
            body = response.json()
            return model.model_validate(body | extra if extra else body)
        except (ValueError, TypeError, ValidationError) as error:
            raise ForeignAnswer(
                self.url,
                f"{response.request.method} {response.request.url.path} was answered with something that is not "
                f"{model.__name__} JSON; is this the address of the api, and is the client as new as the api?",
            ) from error


def problem_of(response: httpx.Response) -> ProblemError:
    """The problem document of a refusal; made up from the status line when a proxy answered instead of the api."""
    retry_after = seconds_of(response.headers.get("Retry-After"))
    try:
        problem = Problem.model_validate(response.json())
    except (ValueError, ValidationError):
        problem = Problem(detail=response.text.strip()[:200] or None)
    title = problem.title if problem.title != "Error" else response.reason_phrase or "Error"
    kind = NotNow if response.status_code in OVERLOADED else ProblemError
    return kind(problem.model_copy(update={"status": response.status_code, "title": title}), retry_after)


def _repeatable(problem: ProblemError, repeat: Repeat) -> bool:
    if problem.status in OVERLOADED:
        return True
    if repeat is Repeat.UNSENT:
        return False
    return problem.status in UNCERTAIN or (problem.status == IN_FLIGHT and repeat is Repeat.KEYED)


def _why(error: httpx.TransportError, timeout: float) -> str:
    if isinstance(error, httpx.TimeoutException):
        return f"nothing came back within {timeout:.3g} s"
    return str(error) or type(error).__name__
