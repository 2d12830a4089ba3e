"""`pdf.render` with `engine: chromium`: what the browser is asked for, and what it is given, without a browser."""

from __future__ import annotations

import contextlib
import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from holdfast.domain.attempt import Bury, Outcome, Retry, Succeeded
from holdfast.domain.dead_letter import DeadReason
from holdfast.domain.errors import HandlerError, Rejected, TryLater
from holdfast.handlers.pdf import PdfRender, assets
from holdfast.handlers.pdf.errors import AssetRefused
from holdfast.handlers.pdf.payload import PdfPayload
from holdfast.handlers.source import SourceNotFound
from holdfast.ports.browser import BrowserUnavailable, Fetch, Printed, Resource, WaitFor, WebPage
from holdfast.ports.isolation import CrashCause, IsolatedCrash, IsolatedTimeout
from holdfast.ports.limits import Limits
from imagepdf_world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")
SECOND = timedelta(seconds=1)


class Browser:
    """Asks for `wants`, keeps what it was given, and prints nothing much."""

    def __init__(self, *wants: str, fails: Exception | None = None) -> None:
        self.wants, self.fails = wants, fails
        self.got: dict[str, Resource | None] = {}
        self.limits: dict[str, Any] = {}

    async def print(self, page: WebPage, fetch: Fetch, **limits: Any) -> Printed:
        self.page, self.limits = page, limits
        for url in self.wants:
            self.got[url] = await fetch(url)
        if self.fails is not None:
            raise self.fails
        return Printed(b"%PDF-", 3, ("a note",))


async def run(world: World, browser: Browser | None, limits: Limits | None = None, **payload: Any) -> Outcome:
    context = dataclasses.replace(world.context(limits), browser=browser)
    return await PdfRender().run(context, PdfPayload.model_validate({"engine": "chromium"} | payload))


async def test_the_result_is_as_with_the_other_engine(world: World) -> None:
    outcome = await run(world, Browser(), html="<p>x")
    assert isinstance(outcome, Succeeded)
    assert outcome.result == {
        "pages": 3,
        "bytes": 5,
        "artifact": "document.pdf",
        "engine": "chromium",
        "variant": None,
        "warnings": ["a note"],
    }
    assert world.saved("document.pdf") == b"%PDF-"


async def test_the_options_of_the_job_reach_the_page(world: World) -> None:
    browser = Browser()
    await run(
        world,
        browser,
        html="<p>x",
        javascript=True,
        wait_for={"selector": "#a"},
        background=False,
        page={"size": "A5", "orientation": "landscape", "margin": 12},
        header="{page} of {pages}",
        base_url="https://shop.example/a/",
        time_limit=7,
    )
    page = browser.page
    assert (page.javascript, page.wait_for, page.selector, page.background) == (True, WaitFor.SELECTOR, "#a", False)
    assert "size: a5 landscape !important" in page.style
    assert "margin: 12mm !important" in page.style
    assert '<span class="pageNumber"></span> of <span class="totalPages"></span>' in page.header
    assert (page.footer, page.url) == ("", "https://shop.example/a/")
    assert browser.limits["timeout"].total_seconds() == 7


async def test_without_options_a_page_may_do_nothing(world: World) -> None:
    browser = Browser()
    await run(world, browser, html="<p>ü", time_limit=3000)
    page = browser.page
    assert (page.javascript, page.wait_for, page.style, page.header) == (False, WaitFor.LOAD, "", "")
    assert (page.body, page.media_type) == ("<p>ü".encode(), "text/html; charset=utf-8")
    assert browser.limits["timeout"].total_seconds() == Limits().pdf_timeout


async def test_a_page_of_the_web_keeps_its_address_and_its_encoding(world: World) -> None:
    world.web.serve("https://shop.example/bill", b"\xfc", "text/html; charset=latin-1")
    browser = Browser()
    await run(world, browser, url="https://shop.example/bill")
    assert browser.page.url == "https://shop.example/bill"
    assert (browser.page.body, browser.page.media_type) == (b"\xfc", "text/html; charset=latin-1")


async def test_a_template_is_filled_in_first_and_within_its_cap(world: World) -> None:
    browser = Browser()
    await run(world, browser, template="<p>{{ n }}", data={"n": "<17>"})
    assert browser.page.body == b"<p>&lt;17&gt;"
    for limit, template, error in (
        (99, "{{ m }}", "TemplateUndefined"),
        (10, "{% for i in range(99) %}x{% endfor %}", "HtmlTooLarge"),
    ):
        with pytest.raises(Rejected) as caught:
            await run(world, browser, Limits(html_bytes=limit), template=template)
        assert caught.value.error == error


async def test_assets_go_through_the_same_guard_and_caps(world: World) -> None:
    world.web.serve("https://a.example/x.png", b"pixels", "image/png")
    world.web.serve("https://a.example/large", b"x" * 50, "image/png")
    browser = Browser(
        "https://a.example/x.png", "https://a.example/x.png", "https://a.example/large", "http://b.example/"
    )
    outcome = await run(world, browser, Limits(asset_bytes=10), html="x")
    assert browser.got["https://a.example/x.png"] == Resource(b"pixels", "image/png")
    assert (browser.got["https://a.example/large"], browser.got["http://b.example/"]) == (None, None)
    assert world.web.asked.count("https://a.example/x.png") == 1
    assert isinstance(outcome, Succeeded)
    assert [warning.partition(" was left out")[0] for warning in outcome.result["warnings"]] == [
        "https://a.example/large",
        "http://b.example/",
        "a note",
    ]


async def test_a_relative_address_without_a_base_is_not_fetched(world: World) -> None:
    outcome = await run(world, Browser("http://document.invalid/logo.png"), html="x")
    assert isinstance(outcome, Succeeded)
    assert outcome.result["warnings"][0].startswith("logo.png was left out: it is a relative address")
    assert world.web.asked == []


async def test_a_script_that_asks_for_ever_is_answered_for_so_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "MOST", 3)
    for number in range(9):
        world.web.serve(f"https://a.example/{number}", b"x", "text/plain")
    browser = Browser(*world.web.pages)
    outcome = await run(world, browser, html="x")
    assert len(world.web.asked) == 3
    assert isinstance(outcome, Succeeded)
    assert outcome.result["warnings"] == [
        "everything else was left out: a document may refer to at most 3 assets",
        "a note",
    ]


async def test_a_missing_asset_ends_the_attempt_when_the_job_needs_all(world: World) -> None:
    world.web.serve("https://a.example/x.png", b"", status=404)
    with pytest.raises(SourceNotFound):
        await run(world, Browser("https://a.example/x.png"), html="x", require_assets=True)
    with pytest.raises(AssetRefused, match="relative"):
        await run(world, Browser("http://document.invalid/x.png"), html="x", require_assets=True)


@pytest.mark.parametrize(
    ("death", "outcome", "reason"),
    [
        (IsolatedTimeout("busy", limit=SECOND, computed=SECOND), Bury, DeadReason.TIMED_OUT),
        (IsolatedTimeout("slow", limit=SECOND, computed=SECOND / 9), Retry, DeadReason.TIMED_OUT),
        (IsolatedCrash("full", cause=CrashCause.MEMORY), Bury, DeadReason.REJECTED),
        (IsolatedCrash("fell", cause=CrashCause.SIGNAL), Bury, DeadReason.POISONED),
        (IsolatedCrash("died", cause=CrashCause.KILLED), Retry, DeadReason.POISONED),
    ],
)
async def test_deaths_mean_what_they_mean_with_the_other_engine(
    world: World, death: Exception, outcome: type[Retry | Bury], reason: DeadReason
) -> None:
    ended = await run(world, Browser(fails=death), html="x")
    assert isinstance(ended, outcome)
    assert isinstance(ended, Retry | Bury)
    assert ended.failure.reason is reason


@pytest.mark.parametrize(
    ("failure", "blamed"),
    [
        (BrowserUnavailable("it does not start"), True),
        (IsolatedCrash("died", cause=CrashCause.KILLED), True),
        (IsolatedCrash("fell", cause=CrashCause.SIGNAL), False),
        (IsolatedTimeout("busy", limit=SECOND, computed=SECOND), False),
        (Rejected("no selector"), False),
    ],
)
async def test_only_what_is_chromium_s_own_fault_is_held_against_it(
    world: World, failure: Exception, blamed: bool
) -> None:
    with contextlib.suppress(HandlerError):
        await run(world, Browser(fails=failure), html="x")
    await world.downstreams.tell()
    known = await world.downstreams._shared.look("pdf-engine:chromium")
    assert known.failures == int(blamed)


async def test_a_worker_without_chromium_leaves_the_job_to_another_and_says_what_is_missing(world: World) -> None:
    with pytest.raises(BrowserUnavailable, match=r"no Chromium.*HOLDFAST_CHROMIUM") as caught:
        await run(world, None, html="x")
    assert isinstance(caught.value, TryLater)
    assert caught.value.after is not None
