"""Which handlers there are: the built-in ones, and those that installed packages provide by entry point.

Invariant: a kind has one handler. A package that offers a kind twice, or one that is taken, stops the process
at start, where somebody sees it.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import entry_points

from holdfast.domain.errors import HoldfastError, UnknownKind
from holdfast.domain.topology import WORK
from holdfast.handlers.image import ImageTransform
from holdfast.handlers.noop import Noop
from holdfast.handlers.pdf import PdfRender
from holdfast.handlers.webhook import WebhookDispatch
from holdfast.ports.handler import Handler

ENTRY_POINTS = "holdfast.handlers"


class BadHandler(HoldfastError):
    """A handler cannot be registered."""


class Registry:
    """Implements `ports.handler.Kinds`."""

    def __init__(self, handlers: Iterable[Handler]) -> None:
        self._handlers: dict[str, Handler] = {}
        for handler in handlers:
            self._add(handler)

    def get(self, kind: str) -> Handler:
        """The handler of a kind; raise UnknownKind."""
        try:
            return self._handlers[kind]
        except KeyError:
            raise UnknownKind(kind, list(self._handlers)) from None

    def all(self) -> list[Handler]:
        """Every handler, sorted by kind."""
        return [self._handlers[kind] for kind in sorted(self._handlers)]

    def _add(self, handler: Handler) -> None:
        if handler.kind in self._handlers:
            other = type(self._handlers[handler.kind])
            raise BadHandler(
                f"the kind {handler.kind!r} is offered by {type(handler).__module__} and by {other.__module__}; "
                "uninstall one of them or rename its kind"
            )
        if handler.queue not in WORK:
            raise BadHandler(f"the handler of {handler.kind!r} names the queue {handler.queue!r}; choose from {WORK}")
        self._handlers[handler.kind] = handler


def installed() -> Registry:
    """The built-in handlers and every plug-in of this environment."""
    return Registry([ImageTransform(), PdfRender(), WebhookDispatch(), Noop(), *_plugins()])


def _plugins() -> Iterable[Handler]:
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        try:
            loaded = entry.load()
        except Exception as error:
            raise BadHandler(f"the handler {entry.name!r} ({entry.value}) cannot be imported: {error}") from error
        yield loaded() if isinstance(loaded, type) else loaded
