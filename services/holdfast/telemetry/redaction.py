"""What never reaches a log, whoever writes the line: secrets, payloads, and what exceptions say of them.

The rules are closed and need nobody's care:

    what                                             becomes
    a field with one of the names in PRIVATE         [redacted], at any depth
    a bearer token, an API key, a webhook secret     [redacted], in any text
    a URL                                            its scheme and host: paths and queries hold tokens, too
    a signature or a credential in a query           [redacted], also where there is no URL around it
    an exception of ours (HoldfastError)             its class, its message, its frames
    any other exception                              its class and its frames: its message may quote any value

Frames are file, line, function and source line, never the values of variables. The message of an exception that a
handler did not foresee is kept in the ledger with its traceback, where operators read it (`dlq-tool show`).
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import TracebackType
from typing import Any

from structlog.typing import EventDict

from holdfast.domain.errors import HoldfastError

REDACTED = "[redacted]"
PRIVATE = frozenset(
    {
        *("authorization", "proxy_authorization", "cookie", "set_cookie", "headers", "api_key", "password"),
        *("secret", "secrets", "callback_secret", "signing_key", "encryption_keys", "signature"),
        *("payload", "body", "body_text", "html", "template", "data", "args", "kwargs"),
    }
)
"""Names of fields, in lower case with underscores."""

_SECRETS = re.compile(r"\b(?:(bearer|basic)\s+[\w.~+/=-]{6,}|hf_[\w-]{16,}|whsec_[\w+/=-]{8,})", re.IGNORECASE)
_URL = re.compile(r"\b([a-z][a-z0-9+.-]*://)(?:[^\s/@\"'<>]*@)?([^\s/?#\"'<>]+)([/?#][^\s\"'<>]*)?", re.IGNORECASE)
_QUERY = re.compile(
    r"([?&;](?:signature|sig|token|key|secret|password|[\w-]*-signature|[\w-]*credential)=)[^&\s\"']+", re.I
)
_TELLING = re.compile(r"[=\s]|://|hf_|whsec_", re.IGNORECASE)
"""What any of the others needs to find anything: ids and states, which most values are, have none of it."""
_SUSPICIOUS = (" ", "=", "\\", "://", "[")
"""What a line of JSON without spaces has where _TELLING finds anything in a text, or where an array is."""
_FUTURE = re.compile(r"\bexception=.*", re.DOTALL)
"""How asyncio names the exception of a task that nobody awaited, in the middle of a line."""

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def redact(_logger: object, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: every value of the line, by the rules."""
    return {name: _value(name, value) for name, value in event.items()}


def harmless(event: EventDict, line: str) -> bool:
    """Whether the rules surely find nothing in an event that is this line of JSON: no field is private, and no text has
    anything that one of them begins with. Whatever JSON escapes or nests is not looked at, and may be anything.
    """
    if not line.isascii() or any(map(line.__contains__, _SUSPICIOUS)) or line.rfind("{"):
        return False
    lowered = line.lower()
    return "hf_" not in lowered and "whsec_" not in lowered and not _any_private(tuple(event))


def clean(text: str) -> str:
    """A text without what the rules take out of it."""
    if not _TELLING.search(text):
        return text
    text = _SECRETS.sub(lambda found: f"{found[1]} {REDACTED}" if found[1] else REDACTED, text)
    text = _URL.sub(lambda found: f"{found[1]}{found[2]}{'/…' if len(found[3] or '') > 1 else ''}", text)
    return _FUTURE.sub(f"exception={REDACTED}", _QUERY.sub(rf"\1{REDACTED}", text))


def exception(_logger: object, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: in place of `exc_info`, the chain of exceptions as text."""
    error = _error(event.pop("exc_info", None))
    if error is not None:
        event["exception"] = clean("\n\n".join(_chain(error)))
    return event


def _value(name: str, value: Any) -> Any:
    if _private(name):
        return REDACTED
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {key: _value(str(key), item) for key, item in value.items()}
    return [_value("", item) for item in value] if isinstance(value, list | tuple | set | frozenset) else value


@lru_cache(4096)
def _any_private(names: tuple[str, ...]) -> bool:
    return any(map(_private, names))


@lru_cache(4096)
def _private(name: str) -> bool:
    return name.lower().replace("-", "_") in PRIVATE


def _error(info: Any) -> BaseException | None:
    if info is True:
        return sys.exc_info()[1]
    if isinstance(info, tuple):
        info = info[1]
    return info if isinstance(info, BaseException) else None


def _chain(error: BaseException) -> Iterator[str]:
    """The exception that began it first, as Python prints them, up to ten."""
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain and len(chain) < 10:
        chain.append(following)
        hidden = following.__cause__ is None and following.__suppress_context__
        following = following.__cause__ or (None if hidden else following.__context__)
    for each in reversed(chain):
        yield _told(each)
        if isinstance(each, BaseExceptionGroup):
            for part in each.exceptions[:10]:
                yield from _chain(part)


def _told(error: BaseException) -> str:
    frames = "".join(traceback.format_tb(error.__traceback__, limit=-20))
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    return f"Traceback (most recent call last):\n{frames}{name}" + (f": {error}" if _ours(error) else "")


def _ours(error: BaseException) -> bool:
    """Whether its message is made by code of ours, of names and numbers; or by the operating system."""
    return isinstance(error, HoldfastError) or (isinstance(error, OSError) and error.errno is not None)
