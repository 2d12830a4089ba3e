"""Image transformation: `transform` is the handler, `engine` runs in an isolated child and alone touches libvips.

The handler is imported when it is asked for, not with the package: a child loads the engine without pydantic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.handlers.image.transform import ImageTransform

__all__ = ["ImageTransform"]


def __getattr__(name: str) -> Any:
    if name == "ImageTransform":
        from holdfast.handlers.image.transform import ImageTransform

        return ImageTransform
    raise AttributeError(name)
