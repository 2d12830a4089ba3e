"""Runs in an isolated child and lays documents out with WeasyPrint.

Invariant: the child reaches neither the network nor the file system on a document's behalf. WeasyPrint asks
`_Fetcher` for every address (images, fonts, style sheets, imports, attachments), and that knows `data:` and the
assets that came with the request, nothing else.

Assets come in rounds: a call that misses some answers with their addresses instead of a PDF, the handler fetches
them through the egress guard, and calls again with them. The child stays a pure function that can be killed at any
moment, the fetches run side by side, and waiting for a slow server costs neither layout time nor a child. (Letting
the child call back would save the repeated layout, at the price of a two-way protocol and one fetch at a time.)
What a document names openly (img, link) is found by parsing alone, so most need one layout; each depth that only
the layout finds (imports, fonts, backgrounds) costs one more.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urldefrag, urljoin
from xml.etree import ElementTree

import PIL.Image
import weasyprint
from weasyprint.urls import URLFetcher, URLFetcherResponse, iri_to_uri

from holdfast.domain.errors import HandlerError
from holdfast.handlers.pdf.errors import LayoutFailed
from holdfast.handlers.pdf.style import page_css, with_counters
from holdfast.handlers.pdf.template import filled

_MOST_WARNINGS = 50
_DATA = re.compile(r"(data:[\w/+.-]{0,40})[^\s']*")
"""An address that is its own content: a warning names its type only."""
_FORMATS = ("JPEG", "MPO", "PNG", "GIF", "WEBP", "AVIF", "TIFF")
_LEFT_OUT = "holdfast left it out"
"""Marks the complaints of WeasyPrint that `_Fetcher` has a better sentence for."""


def render(request: Mapping[str, Any]) -> dict[str, Any]:
    """Answer with the PDF, its pages and warnings; or, unless it is the `last` round, with the `missing` assets."""
    _guard_pictures()
    PIL.Image.MAX_IMAGE_PIXELS = request["limits"]["pixels"] // 2  # Pillow warns there, and refuses at twice as many
    source = _html(request)
    fetcher = _Fetcher(request["assets"])
    with _complaints() as complaints:
        try:
            answer = _rendered(request, source, fetcher)
        except (HandlerError, MemoryError):
            raise
        except RecursionError as error:
            raise LayoutFailed("the document cannot be laid out: its elements are nested too deeply") from error
        except Exception as error:
            if request["last"] or not fetcher.missing:
                raise LayoutFailed(f"the document cannot be laid out: {_reason(error, fetcher)}") from error
            answer = None  # it fell over what it misses (as colour profiles do)
    if answer is None:
        return {"missing": list(fetcher.missing), "html": source}
    left_out = fetcher.left_out | dict.fromkeys(fetcher.missing, "it was found too late to be fetched")
    return answer | {"left_out": left_out, "warnings": _warnings(left_out, complaints)}


@functools.cache
def _guard_pictures() -> None:
    """Once a process: Pillow reads the formats that `image.transform` reads, and none of its forty rarer decoders."""
    PIL.Image.init()
    PIL.Image.ID[:] = [name for name in PIL.Image.ID if name in _FORMATS]


def _html(request: Mapping[str, Any]) -> str | bytes:
    if request["template"] is not None:
        return filled(request)
    html: str | bytes = request["html"]
    return html


def _rendered(request: Mapping[str, Any], source: str | bytes, fetcher: _Fetcher) -> dict[str, Any] | None:
    """None when assets are missing and there is another round to get them."""
    page = weasyprint.HTML(
        string=source, base_url=request["base_url"], url_fetcher=fetcher, encoding=request["charset"]
    )
    bands = {name: request[name] for name in ("header", "footer") if request[name]}
    _insert(page.etree_element, bands)
    if not request["last"] and _named_and_missing(page, fetcher):
        return None
    fonts = weasyprint.text.fonts.FontConfiguration()
    sheet = weasyprint.CSS(string=page_css(request["page"], bands), url_fetcher=fetcher, font_config=fonts)
    options = {"pdf_variant": request["variant"]}
    document = page.render(stylesheets=[sheet], font_config=fonts, **options)
    if fetcher.missing and not request["last"]:
        return None
    _describe(document.metadata, request["metadata"])
    pdf = document.write_pdf(**options)
    if fetcher.missing and not request["last"]:  # attachments are asked for while the PDF is written
        return None
    return {"pdf": pdf, "pages": len(document.pages)}


def _insert(root: ElementTree.Element, bands: Mapping[str, str]) -> None:
    """Put header and footer first in the body, from where the page margins take them as running elements."""
    body = root.find("body")
    for name, content in bands.items():
        inner = weasyprint.HTML(string=f"<body>{with_counters(content)}").etree_element.find("body")
        band = ElementTree.Element("div", {"class": f"holdfast-{name}"})
        band.text = inner.text
        band.extend(list(inner))
        if body is not None:
            body.insert(0, band)


def _named_and_missing(page: Any, fetcher: _Fetcher) -> bool:
    """Ask for the images, style sheets and attachments that the document names, without laying anything out."""
    for element in page.etree_element.iter():
        linked = {"stylesheet", "attachment"} & set((element.get("rel") or "").lower().split())
        address = element.get("src") if element.tag == "img" else element.get("href") if linked else None
        if address and address.strip():
            fetcher.expect(iri_to_uri(urljoin(page.base_url or "", address.strip())))
    return bool(fetcher.missing)


def _describe(metadata: Any, wanted: Mapping[str, Any]) -> None:
    given = {
        "title": wanted["title"],
        "authors": [wanted["author"]] if wanted["author"] else None,
        "description": wanted["subject"],
        "keywords": list(wanted["keywords"]),
        "lang": wanted["language"],
    }
    for name, value in given.items():
        if value:
            setattr(metadata, name, value)


class _Fetcher(URLFetcher):  # type: ignore[misc]
    """Knows `data:` and the given assets. `missing` are the addresses to fetch; `left_out` says why others are not."""

    def __init__(self, assets: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(allowed_protocols=("data",))
        self.missing: dict[str, None] = {}
        self.left_out: dict[str, str] = {}
        self._assets = assets

    def fetch(self, url: str, headers: Any = None) -> Any:
        """The asset, or an error that WeasyPrint takes as "go on without it"."""
        if url[:5].lower() == "data:":
            return super().fetch(url, headers)
        self.expect(url)
        asset = self._assets.get(urldefrag(url)[0])
        if asset is None or "error" in asset:
            raise ValueError(_LEFT_OUT)
        return URLFetcherResponse(url, asset["body"], {"Content-Type": asset["type"]})

    def expect(self, url: str) -> None:
        """Note that the document wants this address."""
        address, scheme = urldefrag(url)[0], url.partition(":")[0].lower()
        if scheme == "data" or (address in self._assets and "error" not in self._assets[address]):
            return
        if address in self._assets:
            self.left_out[url] = self._assets[address]["error"]
        elif scheme in ("http", "https"):
            self.missing[address] = None
        elif ":" not in url:
            self.left_out[url] = "it is a relative address, and the document has no base; give base_url"
        else:
            self.left_out[url] = "only http, https and data addresses are read"


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What WeasyPrint logs as an error while the block runs; its warnings are about CSS that it does not know."""
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    logger, ear = logging.getLogger("weasyprint"), Ear(logging.ERROR)
    before, logger.propagate = logger.propagate, False
    logger.addHandler(ear)
    try:
        yield heard
    finally:
        logger.removeHandler(ear)
        logger.propagate = before


def _reason(error: Exception, fetcher: _Fetcher) -> str:
    if _LEFT_OUT in str(error):
        url, reason = next(reversed(fetcher.left_out.items()), ("an asset", "it was found too late to be fetched"))
        return f"it cannot do without {url[:200]}, which was left out: {reason}"
    return f"{type(error).__name__}: {str(error)[:300] or 'WeasyPrint does not say why'}"


def _warnings(left_out: Mapping[str, str], complaints: list[str]) -> list[str]:
    """One sentence for each thing that is not as the document wants it."""
    said = [f"{url[:200]} was left out: {reason}" for url, reason in left_out.items()]
    said += [
        _DATA.sub(r"\1…", text)[:300]
        for text in complaints
        if _LEFT_OUT not in text and not text.endswith(tuple(left_out))
    ]
    unique = list(dict.fromkeys(said))
    more = len(unique) - _MOST_WARNINGS
    return [*unique[:_MOST_WARNINGS], f"and {more} more"] if more > 0 else unique
