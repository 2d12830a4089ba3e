"""PDF rendering: `render` is the handler, `engine` runs in an isolated child and alone touches WeasyPrint.

The handler is imported when it is asked for, not with the package: a child loads the engine without pydantic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.handlers.pdf.render import PdfRender

__all__ = ["PdfRender"]


def __getattr__(name: str) -> Any:
    if name == "PdfRender":
        from holdfast.handlers.pdf.render import PdfRender

        return PdfRender
    raise AttributeError(name)
