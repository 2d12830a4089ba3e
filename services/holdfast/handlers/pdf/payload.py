"""What a `pdf.render` job asks for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from holdfast.handlers.source import WebAddress

Millimetres = Annotated[float, Field(ge=0, le=5_000)]
PageName = Literal["A3", "A4", "A5", "A6", "B4", "B5", "Letter", "Legal", "Ledger"]
Variant = Literal[
    "pdf/a-1a",
    "pdf/a-1b",
    "pdf/a-2a",
    "pdf/a-2b",
    "pdf/a-2u",
    "pdf/a-3a",
    "pdf/a-3b",
    "pdf/a-3u",
    "pdf/a-4e",
    "pdf/a-4f",
    "pdf/a-4u",
    "pdf/ua-1",
    "pdf/ua-2",
]
"""What WeasyPrint 68 and later writes, without PDF/X, which needs colour profiles that a job cannot bring."""

ENGINES = "pdf_engines"
"""Key of the validation context: the engines that this installation has."""
ONLY = {"weasyprint": ("metadata", "variant"), "chromium": ("javascript", "wait_for", "background")}
"""What only one engine has."""


def _pdf_name(value: str) -> str:
    return value if value.lower().endswith(".pdf") else f"{value}.pdf"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PageSize(_Strict):
    """A size of one's own."""

    width: float = Field(ge=10, le=5_000)
    """Millimetres, as `height`."""
    height: float = Field(ge=10, le=5_000)


class Page(_Strict):
    """Stronger than the document's own `@page` rules, but only in what is given here."""

    size: PageName | PageSize | None = None
    """Default: what the document says, else A4."""
    orientation: Literal["portrait", "landscape"] | None = None
    margin: Millimetres | tuple[Millimetres, Millimetres, Millimetres, Millimetres] | None = None
    """Millimetres: one for all sides, or four (top, right, bottom, left)."""


class Metadata(_Strict):
    """Stronger than the document's own `<title>` and `<meta>`, but only in what is given here."""

    title: str | None = Field(default=None, max_length=500)
    author: str | None = Field(default=None, max_length=500)
    subject: str | None = Field(default=None, max_length=2_000)
    keywords: tuple[Annotated[str, Field(max_length=100)], ...] = Field(default=(), max_length=50)
    language: str | None = Field(default=None, pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")
    """A BCP 47 tag, such as `en` or `de-CH`. PDF/UA asks for it."""


class Selector(_Strict):
    """An element to wait for."""

    selector: str = Field(min_length=1, max_length=500)
    """A CSS selector, such as `#chart svg`."""


class PdfPayload(_Strict):
    """Exactly one of `html`, `url` and `template` (which is filled in with `data`)."""

    html: str | None = Field(default=None, min_length=1)
    url: WebAddress | None = None
    """Of an HTML page; also the base of its relative addresses."""
    template: str | None = Field(default=None, min_length=1)
    """Jinja2, sandboxed: autoescaping, no includes, and a variable that `data` lacks is an error."""
    data: dict[str, Any] = {}
    base_url: WebAddress | None = None
    """What relative addresses in the document are relative to. Without it they are left out, with a warning."""
    page: Page = Page()
    header: str | None = Field(default=None, min_length=1, max_length=20_000)
    """Text or a little HTML in the upper margin of every page; `{page}` and `{pages}` become numbers."""
    footer: str | None = Field(default=None, min_length=1, max_length=20_000)
    metadata: Metadata = Metadata()
    variant: Variant | None = None
    """Default: plain PDF 1.7."""
    require_assets: bool = False
    """Fail (or retry) when an image, font or style sheet cannot be had. Default: go on without it, and warn."""
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._ -]{0,120}$"), AfterValidator(_pdf_name)] = (
        "document.pdf"
    )
    """Of the artifact."""
    engine: Literal["weasyprint", "chromium"] = "weasyprint"
    """`chromium` where the installation has it: for pages that need JavaScript, and for long documents."""
    time_limit: float | None = Field(default=None, gt=0, le=3600)
    """Seconds for the layout, with `chromium` for loading too. Never more than the installation's own limit."""
    javascript: bool = False
    """Whether the page's scripts run. Only with `chromium`, as are the following."""
    wait_for: Literal["load", "network-idle", "ready"] | Selector = "load"
    """When the page is printed: once it is loaded, once it has asked for nothing more for half a second, once it has
    set `window.holdfastReady = true`, or once it has an element; the last two take `javascript`."""
    background: bool = True
    """Whether background colours and pictures are printed."""

    @field_validator("engine")
    @classmethod
    def _is_installed(cls, engine: str, info: ValidationInfo) -> str:
        """At submit, where the context says what the installation has."""
        engines = (info.context or {}).get(ENGINES)
        if engines is not None and engine not in engines:
            raise ValueError(
                f"this installation has no {engine}; use {' or '.join(engines)}, or ask its operator to install "
                "Chromium for the render workers and to set HOLDFAST_CHROMIUM"
            )
        return engine

    @model_validator(mode="after")
    def _of_the_engine(self) -> PdfPayload:
        """An option that the engine does not have is an error, not a silence."""
        other = "weasyprint" if self.engine == "chromium" else "chromium"
        foreign = [name for name in ONLY[other] if name in self.model_fields_set]
        if foreign:
            raise ValueError(
                f"{' and '.join(foreign)}: only the engine {other} has that; leave it out, or give engine {other}"
            )
        if not self.javascript and (self.wait_for == "ready" or isinstance(self.wait_for, Selector)):
            raise ValueError("wait_for ready or an element needs the page's scripts; give javascript: true")
        return self

    @model_validator(mode="after")
    def _exactly_one(self) -> PdfPayload:
        given = [name for name in ("html", "url", "template") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of html, url and template; this has {' and '.join(given) or 'none'}")
        if self.data and self.template is None:
            raise ValueError("data is for a template; there is none")
        return self
