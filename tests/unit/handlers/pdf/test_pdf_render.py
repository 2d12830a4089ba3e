"""`pdf.render` with the real WeasyPrint in a real child."""

from __future__ import annotations

import base64
import importlib.util
import io
import time
from pathlib import Path
from typing import Any

import pypdf
import pytest
from PIL import Image

from holdfast.domain.attempt import Bury, Outcome, Retry, Succeeded
from holdfast.domain.dead_letter import DeadReason
from holdfast.domain.errors import Rejected, TryLater
from holdfast.handlers.pdf import PdfRender
from holdfast.handlers.pdf.payload import PdfPayload
from holdfast.ports.limits import Limits
from imagepdf_world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")
DEMO = Path(__file__).parents[4] / "examples" / "demo"


async def run(world: World, limits: Limits | None = None, **payload: Any) -> Outcome:
    return await PdfRender().run(world.context(limits), PdfPayload.model_validate(payload))


async def rendered(world: World, **payload: Any) -> tuple[Any, pypdf.PdfReader]:
    outcome = await run(world, **payload)
    assert isinstance(outcome, Succeeded), outcome
    data = world.saved(outcome.result["artifact"])
    assert outcome.result["bytes"] == len(data)
    pdf = pypdf.PdfReader(io.BytesIO(data))
    assert outcome.result["pages"] == len(pdf.pages)
    return outcome.result, pdf


async def refused(world: World, limits: Limits | None = None, **payload: Any) -> Rejected:
    with pytest.raises(Rejected) as caught:
        await run(world, limits, **payload)
    return caught.value


def texts(pdf: pypdf.PdfReader) -> list[str]:
    return [page.extract_text() for page in pdf.pages]


def picture(colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20), colour).save(buffer, "PNG")
    return buffer.getvalue()


def demo_assets() -> Any:
    spec = importlib.util.spec_from_file_location("holdfast_demo_assets", DEMO / "assets.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_the_invoice_of_the_demo_has_two_pages_that_can_be_read(world: World) -> None:
    data = demo_assets().invoice_data()
    result, pdf = await rendered(world, template=(DEMO / "invoice.html").read_text(), data=data, name="invoice.pdf")
    first, second = texts(pdf)
    assert result["warnings"] == []
    assert "Docking and undocking" in first
    assert "Page 1 of 2" in first
    assert "Project management" in second
    assert "Total due" in second
    assert "Bollard & Cleat Shipwrights" in second
    assert "Page 2 of 2" in second
    assert pdf.metadata
    assert pdf.metadata.title == "Invoice 2026-0417"
    assert pdf.metadata.author == "Bollard & Cleat Shipwrights"


async def test_html_becomes_a_document_of_that_name(world: World) -> None:
    result, pdf = await rendered(world, html="<p>Grüße, <b>Welt</b></p>", name="greeting")
    assert result == {
        "pages": 1,
        "bytes": result["bytes"],
        "artifact": "greeting.pdf",
        "engine": "weasyprint",
        "variant": None,
        "warnings": [],
    }
    assert "Grüße, Welt" in texts(pdf)[0]


async def test_a_page_is_fetched_in_its_own_encoding_and_is_its_own_base(world: World) -> None:
    url = "https://shop.example/orders/7.html"
    world.web.serve(url, '<p>Grüße</p><img src="logo.png">'.encode("latin-1"), "text/html; charset=iso-8859-1")
    world.web.serve("https://shop.example/orders/logo.png", picture(), "image/png")
    result, pdf = await rendered(world, url=url)
    assert "Grüße" in texts(pdf)[0]
    assert len(pdf.pages[0].images) == 1
    assert result["warnings"] == []


async def test_the_pages_options_win_over_the_documents_own(world: World) -> None:
    html = "<style>@page { size: A3; margin: 5cm }</style><p>x"
    _, pdf = await rendered(
        world, html=html, page={"size": "A5", "orientation": "landscape", "margin": [10, 20, 10, 20]}
    )
    assert [round(float(side)) for side in pdf.pages[0].mediabox[2:]] == [595, 420]
    _, pdf = await rendered(world, html=html, page={"size": {"width": 100, "height": 200}})
    assert [round(float(side)) for side in pdf.pages[0].mediabox[2:]] == [283, 567]
    _, pdf = await rendered(world, html=html)
    assert [round(float(side)) for side in pdf.pages[0].mediabox[2:]] == [842, 1191]


async def test_header_and_footer_are_on_every_page_and_count(world: World) -> None:
    html = '<style>body{margin:0}</style>first<p style="break-before: page">second'
    _, pdf = await rendered(world, html=html, header="Report <b>7</b>", footer="{page} of {pages}")
    assert ["Report 7" in text for text in texts(pdf)] == [True, True]
    assert ["1 of 2" in texts(pdf)[0], "2 of 2" in texts(pdf)[1]] == [True, True]


async def test_metadata_and_variant_are_written(world: World) -> None:
    metadata = {"title": "T", "author": "A", "subject": "S", "keywords": ["k", "l"], "language": "de-CH"}
    result, pdf = await rendered(world, html="<title>old</title><p>x", metadata=metadata, variant="pdf/a-3u")
    assert pdf.metadata
    assert (pdf.metadata.title, pdf.metadata.author, pdf.metadata.subject) == ("T", "A", "S")
    assert pdf.root_object["/Lang"] == "de-CH"
    assert result["variant"] == "pdf/a-3u"
    xmp = pdf.root_object["/Metadata"].get_object().get_data()
    assert b"pdfaid" in xmp
    result, pdf = await rendered(world, html="<p>x", metadata=metadata, variant="pdf/ua-1")
    assert result["warnings"] == []
    assert pdf.root_object["/MarkInfo"]["/Marked"]


# Templates


async def test_a_template_is_filled_in_and_escaped(world: World) -> None:
    _, pdf = await rendered(
        world, template="<p>{{ who.name }}: {{ html }}", data={"who": {"name": "Ada"}, "html": "<b>"}
    )
    assert "Ada: <b>" in texts(pdf)[0]


@pytest.mark.parametrize(
    ("template", "error", "words"),
    [
        ("a\n{{ customer.nme }}", "TemplateUndefined", ["line 2", "nme"]),
        ("{{ missing }}", "TemplateUndefined", ["'missing' is undefined"]),
        ("{% for x in xs %}{{ x }}", "TemplateInvalid", ["line 1"]),
        ("{% include '/etc/passwd' %}", "TemplateFailed", ["no loader"]),
        ("{{ ''.__class__.__mro__ }}", "TemplateFailed", ["may not"]),
        ("{{ 1 / 0 }}", "TemplateFailed", ["ZeroDivisionError"]),
        ("{{ 'x' * 3000000 }}", "HtmlTooLarge", ["2097152 bytes"]),
    ],
)
async def test_a_wrong_template_is_refused_with_the_place(
    world: World, template: str, error: str, words: list[str]
) -> None:
    caught = await refused(world, template=template, data={"customer": {}, "xs": []})
    assert caught.error == error
    assert all(word in str(caught) for word in words)


async def test_a_template_that_loops_for_ever_is_killed_in_time(world: World) -> None:
    loop = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    began = time.monotonic()
    outcome = await run(world, Limits(pdf_timeout=1.5), template=loop)
    assert time.monotonic() - began < 60
    assert isinstance(outcome, Bury | Retry)  # a retry on a machine too busy to give it a processor
    assert (outcome.failure.reason, outcome.failure.error) == (DeadReason.TIMED_OUT, "IsolatedTimeout")


# Hostile documents

NESTED_FLEX = '<div style="display:flex">' * 40 + "x" + "</div>" * 40
HUGE_COLSPAN = "<table>" + '<tr><td colspan="1000000">x</td><td>y</td></tr>' * 3 + "</table>"


@pytest.mark.parametrize("html", [NESTED_FLEX, HUGE_COLSPAN], ids=["nested flex", "huge colspan"])
async def test_a_layout_that_never_ends_is_killed_in_time(world: World, html: str) -> None:
    began = time.monotonic()
    outcome = await run(world, Limits(pdf_timeout=2), html=html)
    assert time.monotonic() - began < 60
    assert isinstance(outcome, Bury | Retry)
    assert outcome.failure.reason is DeadReason.TIMED_OUT


async def test_html_that_cannot_be_laid_out_is_refused_readably(world: World) -> None:
    error = await refused(world, html="<div>" * 3000)
    assert error.error == "LayoutFailed"
    assert "nested too deeply" in str(error)


async def test_html_past_its_cap_is_refused(world: World) -> None:
    error = await refused(world, Limits(html_bytes=100), html="<p>" + "x" * 100)
    assert error.error == "HtmlTooLarge"


LOCAL = {
    "image": '<img src="file://{file}">',
    "image from a relative address": '<img src="{relative}">',
    "base element": '<base href="file://{folder}/"><img src="secret.txt">',
    "style sheet": '<link rel="stylesheet" href="file://{file}">',
    "import": '<style>@import "file://{file}";</style>',
    "import by url": "<style>@import url(file://{file});</style>",
    "background": '<p style="background: url(file://{file})">x',
    "list marker": '<ul style="list-style-image: url(file://{file})"><li>x</ul>',
    "generated content": "<style>p::before {{ content: url(file://{file}) }}</style><p>x",
    "font": "<style>@font-face {{ font-family: f; src: url(file://{file}) }} p {{ font-family: f }}</style><p>x",
    "linked attachment": '<link rel="attachment" href="file://{file}">',
    "anchored attachment": '<a rel="attachment" href="file://{file}">x</a>',
    "object": '<object data="file://{file}"></object>',
    "embed": '<embed src="file://{file}">',
    "picture in SVG": '<svg width="9" height="9"><image href="file://{file}" width="9" height="9"/></svg>',
    "upper case": '<img src="FILE://{file}">',
}


@pytest.mark.parametrize("way", LOCAL)
async def test_local_files_are_never_read(world: World, tmp_path: Path, way: str) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("QlZ8xTopSecret")
    html = LOCAL[way].format(file=secret, folder=tmp_path, relative=secret)
    before = secret.stat().st_atime_ns
    result, pdf = await rendered(world, html=html)
    data = world.saved(result["artifact"])
    assert secret.stat().st_atime_ns == before
    assert not pdf.attachments
    assert b"TopSecret" not in data
    assert any("left out" in text for text in result["warnings"]), result["warnings"]
    assert world.web.asked == []


async def test_a_local_colour_profile_ends_the_layout_and_is_never_read(world: World) -> None:
    error = await refused(world, html="<style>@color-profile --x { src: url(file:///etc/passwd) }</style><p>x")
    assert error.error == "LayoutFailed"
    assert "file:///etc/passwd, which was left out: only http" in str(error)


async def test_a_data_address_needs_no_fetch(world: World) -> None:
    address = "data:image/png;base64," + base64.b64encode(picture()).decode()
    result, pdf = await rendered(world, html=f'<img src="{address}">')
    assert len(pdf.pages[0].images) == 1
    assert result["warnings"] == []


# Assets

BASE = "https://cdn.example/"


async def test_assets_come_through_egress_however_deep(world: World) -> None:
    world.web.serve(BASE + "main.css", b'@import "deep/more.css"; p { color: #123456 }', "text/css")
    world.web.serve(BASE + "deep/more.css", b'@import "most.css";', "text/css")
    world.web.serve(BASE + "deep/most.css", b"body { background: url(bg.png) } p { break-before: page }", "text/css")
    world.web.serve(BASE + "deep/bg.png", picture("blue"), "image/png")
    world.web.serve(BASE + "logo.png", picture(), "image/png")
    world.web.serve(BASE + "terms.txt", b"the terms", "text/plain")
    html = (
        '<link rel="stylesheet" href="main.css"><img src="logo.png"><p>one<p>two'
        '<a rel="attachment" href="terms.txt">terms</a>'
    )
    result, pdf = await rendered(world, html=html, base_url=BASE)
    assert result["warnings"] == []
    assert len(pdf.pages) == 3
    assert len(pdf.pages[0].images) >= 1
    assert sorted(world.web.asked) == sorted(world.web.pages), "each asset is fetched once"
    assert b"the terms" in b"".join(
        annotation.get_object()["/FS"]["/EF"]["/F"].get_data()
        for page in pdf.pages
        for annotation in page.get("/Annots", [])
    )


async def test_a_missing_asset_is_a_warning_and_never_silent(world: World) -> None:
    world.web.serve(BASE + "gone.png", b"", status=404)
    html = (
        '<img src="gone.png"><img src="https://down.example/x.png?key=secret"><p style="background: url(deep.png)">here'
    )
    result, pdf = await rendered(world, html=html, base_url=BASE)
    assert "here" in texts(pdf)[0]
    assert len(result["warnings"]) == 3
    assert any("gone.png" in text and "404" in text for text in result["warnings"])
    assert any("down.example" in text for text in result["warnings"])


async def test_a_required_asset_ends_the_attempt(world: World) -> None:
    world.web.serve(BASE + "gone.png", b"", status=404)
    error = await refused(world, html='<img src="gone.png">', base_url=BASE, require_assets=True)
    assert error.error == "SourceNotFound"
    with pytest.raises(TryLater):
        await run(world, html='<img src="https://down.example/x.png">', require_assets=True)


async def test_assets_are_capped_one_by_one_and_together(world: World) -> None:
    for name in ("a", "b", "c"):
        world.web.serve(f"{BASE}{name}.png", picture(), "image/png")
    size = len(picture())
    html = "".join(f'<img src="{name}.png">' for name in "abc")
    outcome = await run(world, Limits(assets_total_bytes=2 * size), html=html, base_url=BASE)
    assert isinstance(outcome, Succeeded)
    (warning,) = outcome.result["warnings"]
    assert "together" in warning
    outcome = await run(world, Limits(asset_bytes=size - 1), html=html, base_url=BASE)
    assert isinstance(outcome, Succeeded)
    assert len(outcome.result["warnings"]) == 3


async def test_imports_without_end_stop_after_some_rounds(world: World) -> None:
    for number in range(20):
        world.web.serve(f"{BASE}{number}.css", f'@import "{number + 1}.css";'.encode(), "text/css")
    result, _ = await rendered(world, html='<link rel="stylesheet" href="0.css"><p>x', base_url=BASE)
    assert len(world.web.asked) < 8
    assert any("too late" in text for text in result["warnings"])
