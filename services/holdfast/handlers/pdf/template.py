"""Fills in a template. Runs in an isolated child, because a template can loop for ever.

The sandbox is Jinja2's own, of the immutable kind, with nothing to load from: no includes, no imports, no files.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, UndefinedError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from holdfast.handlers.pdf.errors import HtmlTooLarge, TemplateFailed, TemplateInvalid, TemplateUndefined

_NAME = "<template>"


def filled(request: Mapping[str, Any]) -> str:
    """`fill`, as a call of its own."""
    return fill(request["template"], request["data"], request["limits"]["html"])


def fill(template: str, data: Mapping[str, Any], limit: int) -> str:
    """The HTML, at most `limit` bytes of it; gives up as soon as it grows past that."""
    environment = ImmutableSandboxedEnvironment(autoescape=True, undefined=StrictUndefined)
    try:
        return _within(environment.from_string(template).generate(data), limit)
    except TemplateSyntaxError as error:
        raise TemplateInvalid(f"the template has an error in line {error.lineno}: {error.message}") from error
    except UndefinedError as error:
        raise TemplateUndefined(
            f"the template uses something that the data does not have{_line(error)}: {error.message}"
        ) from error
    except SecurityError as error:
        raise TemplateFailed(f"the template tries something that it may not{_line(error)}: {error}") from error
    except (MemoryError, HtmlTooLarge):
        raise
    except Exception as error:
        raise TemplateFailed(
            f"the template failed{_line(error)}: {type(error).__name__}: {str(error)[:300]}"
        ) from error


def _within(parts: Any, limit: int) -> str:
    kept: list[str] = []
    size = 0
    for part in parts:
        size += len(part.encode("utf-8", "surrogatepass"))
        if size > limit:
            raise HtmlTooLarge(f"the template makes more than {limit} bytes of HTML; that is the most that is laid out")
        kept.append(part)
    return "".join(kept)


def _line(error: Exception) -> str:
    """Jinja2 gives the frames of a template its own file name and line numbers."""
    found = None
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == _NAME:
            found = trace.tb_lineno
        trace = trace.tb_next
    return f" (line {found})" if found else ""
