"""Reading what a person types: payloads, durations, moments, priorities. Each error names what would be right."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import typer

from holdfast.domain.job import MAX_PRIORITY, MIN_PRIORITY, PRIORITIES

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d|w)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def payload(text: str) -> Mapping[str, Any]:
    """A JSON object given as text, as `@file`, or as `-` for stdin."""
    if text == "-":
        source, content = "stdin", sys.stdin.read()
    elif text.startswith("@"):
        source = text[1:]
        try:
            content = Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise typer.BadParameter(f"cannot read {source}: {error}") from error
    else:
        source, content = "the payload", text
    try:
        value = json.loads(content)
    except ValueError as error:
        raise typer.BadParameter(f"{source} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise typer.BadParameter(f'{source} must be a JSON object such as \'{{"url": "…"}}\'')
    return value


def headers(texts: list[str] | None) -> Mapping[str, str] | None:
    """`Name: value` each; None where none is given."""
    if not texts:
        return None
    pairs = [text.partition(":") for text in texts]
    if wrong := [text for text, (_, colon, _) in zip(texts, pairs, strict=True) if not colon]:
        raise typer.BadParameter(f"{wrong[0].split(maxsplit=1)[0]!r} is not a header such as 'X-Shop: harbour'")
    return {name.strip(): value.strip() for name, _, value in pairs}


def duration(text: str) -> timedelta:
    """`90`, `90s`, `30m`, `2h`, `3d` or `1w`."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise typer.BadParameter(f"{text!r} is not a duration such as 90s, 30m, 2h or 3d")
    return timedelta(seconds=float(match[1]) * _SECONDS[match[2] or "s"])


def moment(text: str) -> datetime:
    """A time of RFC 3339; without an offset it is UTC."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a time such as 2026-01-31T12:00:00Z") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def past(text: str, now: datetime | None = None) -> datetime:
    """How long ago (`2h`, `30m`, `3d`), or a time of RFC 3339."""
    if _DURATION.fullmatch(text.strip()) and not text.strip().isdigit():
        return (now or datetime.now(UTC)) - duration(text)
    try:
        return moment(text)
    except typer.BadParameter as error:
        raise typer.BadParameter(
            f"{text!r} is neither how long ago (2h, 30m, 3d) nor a time such as 2026-01-31T12:00:00Z"
        ) from error


def priority(text: str) -> str | int:
    """`high`, `default`, `low`, or a number (higher first)."""
    if text in PRIORITIES:
        return text
    if text.isdecimal() and MIN_PRIORITY <= int(text) <= MAX_PRIORITY:
        return int(text)
    names = ", ".join(PRIORITIES)
    raise typer.BadParameter(f"{text!r} is neither {names} nor a number from {MIN_PRIORITY} to {MAX_PRIORITY}")
