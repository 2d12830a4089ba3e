"""The real Chromium: it prints, it ends in time, it leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pypdf
import pytest
import pytest_asyncio

from chromium_world import below, left_of, page, program
from harness import eventually
from holdfast.adapters.chromium.browser import ChromiumBrowser
from holdfast.adapters.chromium.printing import PageFailed, PdfTooLarge, SelectorInvalid
from holdfast.domain.errors import HandlerError
from holdfast.ports.browser import BrowserUnavailable, Printed, Resource, WaitFor, WebPage
from holdfast.ports.isolation import CrashCause, IsolatedCrash, IsolatedTimeout

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024 * 1024
TESTS = Path(__file__).parents[1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[ChromiumBrowser]:
    made = ChromiumBrowser(program())
    yield made
    await made.close()


async def nothing(url: str) -> Resource | None:
    return None


async def show(browser: ChromiumBrowser, asked: WebPage, seconds: float = 20.0, **limits: Any) -> Printed:
    limits = {"memory": 1024 * MIB, "most_bytes": 50 * MIB} | limits
    return await browser.print(asked, nothing, timeout=timedelta(seconds=seconds), **limits)


async def text(browser: ChromiumBrowser, asked: WebPage, **options: Any) -> str:
    printed = await show(browser, asked, **options)
    pdf = pypdf.PdfReader(io.BytesIO(printed.pdf))
    assert printed.pages == len(pdf.pages)
    return "\n".join(sheet.extract_text() for sheet in pdf.pages)


async def well(browser: ChromiumBrowser) -> bool:
    return await text(browser, page("<p>well")) == "well"


async def under_way(browser: ChromiumBrowser, asked: WebPage) -> tuple[asyncio.Task[Printed], list[psutil.Process]]:
    """A page whose script has run for a while, and the processes that work on it."""
    task = asyncio.create_task(show(browser, asked, seconds=60))
    while browser.pid is None or busiest(browser.pid) < 0.5:  # seconds; a page without a script takes a tenth
        assert not task.done(), task
        await asyncio.sleep(0.02)
    return task, below(browser.pid)


def renderers(pid: int) -> list[psutil.Process]:
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "--type=renderer" in process.cmdline():
                found.append(process)
    return found


def busiest(pid: int) -> float:
    """The processor time of the renderer that took most, in seconds."""
    most = 0.0
    for process in renderers(pid):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            most = max(most, times.user + times.system)
    return most


# What it prints


async def test_the_same_chromium_prints_page_after_page(browser: ChromiumBrowser) -> None:
    assert await text(browser, page("<h1>One")) == "One"
    first = browser.pid
    assert await text(browser, page("<h1>Two<p style='break-before: page'>Three")) == "Two\nThree"
    assert browser.pid == first


async def test_scripts_run_only_when_the_job_asks(browser: ChromiumBrowser) -> None:
    html = "<body>static<script>document.body.append(' and scripted')</script><svg onload='document.body.append(1)'>"
    assert (await text(browser, page(html))).strip() == "static"
    assert "and scripted" in await text(browser, page(html, javascript=True))


@pytest.mark.parametrize(
    ("wait_for", "selector"),
    [(WaitFor.READY, ""), (WaitFor.SELECTOR, "#late > b"), (WaitFor.NETWORK_IDLE, "")],
)
async def test_a_page_is_printed_when_it_is_ready(browser: ChromiumBrowser, wait_for: WaitFor, selector: str) -> None:
    html = """<div id=late></div><script>setTimeout(() => {
        document.getElementById('late').innerHTML = '<b>late</b>'; window.holdfastReady = true }, 250)</script>"""
    assert await text(browser, page(html, javascript=True, wait_for=wait_for, selector=selector)) == "late"


async def test_a_selector_that_is_none_is_named_and_cannot_be_a_script(browser: ChromiumBrowser) -> None:
    for selector in ("b[[", '"),document.body.append("injected"),("'):
        with pytest.raises(SelectorInvalid):
            await show(browser, page("x", javascript=True, wait_for=WaitFor.SELECTOR, selector=selector))


async def test_the_style_of_the_job_is_stronger_than_the_page_s_own(browser: ChromiumBrowser) -> None:
    own = "<style>@page { size: A5; margin: 1mm }</style>x"
    for style, size in (("", (148, 210)), ("@page { size: A4 landscape !important }", (297, 210))):
        box = pypdf.PdfReader(io.BytesIO((await show(browser, page(own, style=style))).pdf)).pages[0].mediabox
        assert [round(float(side) * 25.4 / 72) for side in (box.width, box.height)] == list(size)
    box = pypdf.PdfReader(io.BytesIO((await show(browser, page("x"))).pdf)).pages[0].mediabox
    assert (round(float(box.width) * 25.4 / 72), round(float(box.height) * 25.4 / 72)) == (210, 297)


async def test_header_and_footer_count_pages_and_run_nothing(browser: ChromiumBrowser) -> None:
    footer = """<div style='font-size: 8pt'>page <span class=pageNumber></span> of <span class=totalPages></span>
        <script>document.body.append('RAN')</script><img src='data:x' onerror="document.body.append('RAN')"></div>"""
    shown = await text(browser, page("a<p style='break-before: page'>b", footer=footer, javascript=True))
    assert ["page 1 of 2" in shown, "page 2 of 2" in shown, "RAN" in shown] == [True, True, False]


async def test_a_long_document_s_pages_are_counted(browser: ChromiumBrowser) -> None:
    printed = await show(browser, page("<p style='break-after: page'>sheet" * 300))
    assert printed.pages == len(pypdf.PdfReader(io.BytesIO(printed.pdf)).pages) >= 300


async def test_a_pdf_past_its_cap_is_refused(browser: ChromiumBrowser) -> None:
    with pytest.raises(PdfTooLarge, match="more than 3000 bytes"):
        await show(browser, page("<p>" + "large " * 1000), most_bytes=3000)


# What one page leaves for the next


async def test_no_page_sees_cookies_or_storage_of_another(browser: ChromiumBrowser) -> None:
    html = """<script>
        document.write('cookie=' + document.cookie + ' local=' + localStorage.getItem('k') + ' name=' + window.name);
        document.cookie = 'k=secret; max-age=999'; localStorage.setItem('k', 'secret'); window.name = 'secret';
        caches && caches.open('k'); indexedDB.open('k');</script>"""
    for _ in range(2):
        assert await text(browser, page(html, javascript=True)) == "cookie= local=null name="


async def test_chromium_is_recycled_after_its_pages() -> None:
    browser = ChromiumBrowser(program(), recycle_after=2)
    assert await well(browser)
    first = below(browser.pid or 0)
    assert await well(browser)
    assert (browser.pid, left_of(first)) == (None, [])
    assert await well(browser)
    await browser.close()


async def test_chromium_is_recycled_when_it_has_grown() -> None:
    browser = ChromiumBrowser(program(), recycle_resident=MIB)
    assert await well(browser)
    assert browser.pid is None


# What goes wrong


@pytest.mark.parametrize(
    "html",
    [
        "<script>for (;;);</script>",
        "<script>setInterval(() => { for (;;); }, 1)</script>x",
        "<script>for (;;) alert(1)</script>" + "<script>for (;;) location.reload()</script>",
        "<script>(function again() { Promise.resolve().then(again) })()</script>",
        "<table>" + "<tr><td colspan=1000>x" * 20_000,
    ],
    ids=["loop", "timer", "dialogs", "microtasks", "colspan"],
)
async def test_a_page_that_never_ends_is_killed_in_time_with_all_processes(html: str) -> None:
    browser = ChromiumBrowser(program())
    asked = page(html, javascript=True, wait_for=WaitFor.READY)
    assert await well(browser)
    processes = below(browser.pid or 0)
    assert len(processes) > 3
    with pytest.raises(IsolatedTimeout, match="longer than 1 s") as caught:
        await show(browser, asked, seconds=1.0)
    assert caught.value.computed > timedelta(0)
    assert left_of(processes) == []
    assert await well(browser)
    await browser.close()


async def test_dialogs_popups_and_printing_do_not_hold_a_page_up(browser: ChromiumBrowser) -> None:
    html = """<body>through<script>onbeforeunload = event => 'stay'; alert(1); confirm(2); prompt(3); print();
        document.body.append(' ' + window.open('about:blank'))</script>"""
    assert await text(browser, page(html, javascript=True)) == "through null"


@pytest.mark.parametrize(
    "html",
    [
        "<script>const a = []; for (;;) a.push(new Array(1e6).fill(Math.random()))</script>",
        "<script>const a = []; for (;;) a.push('x'.repeat(1e7) + a.length)</script>",
    ],
    ids=["heap", "strings"],
)
async def test_a_page_that_eats_memory_is_stopped_at_its_limit(browser: ChromiumBrowser, html: str) -> None:
    with pytest.raises(IsolatedCrash) as caught:
        await show(browser, page(html, javascript=True), memory=400 * MIB)
    assert caught.value.cause is CrashCause.MEMORY
    assert await well(browser)


async def test_a_page_whose_process_dies_is_poison_and_the_next_one_works(browser: ChromiumBrowser) -> None:
    task, processes = await under_way(browser, page("<script>for (;;);</script>", javascript=True))
    for process in renderers(browser.pid or 0):
        process.kill()
    with pytest.raises(IsolatedCrash) as caught:
        await task
    assert caught.value.cause is CrashCause.SIGNAL
    assert left_of(processes) == []
    assert await well(browser)


async def test_a_chromium_that_dies_at_its_work_is_not_the_page_s_fault(browser: ChromiumBrowser) -> None:
    task, processes = await under_way(browser, page("<script>for (;;);</script>", javascript=True))
    processes[1].kill()
    with pytest.raises(IsolatedCrash) as caught:
        await task
    assert caught.value.cause is CrashCause.KILLED
    assert left_of(processes) == []
    assert await well(browser)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_an_idle_chromium_that_is_gone_or_stuck_is_replaced(browser: ChromiumBrowser, number: int) -> None:
    assert await well(browser)
    processes = below(browser.pid or 0)
    processes[1].send_signal(number)
    assert await well(browser)
    assert left_of(processes) == []


async def test_a_cancelled_page_leaves_nothing_running(browser: ChromiumBrowser) -> None:
    task, processes = await under_way(browser, page("<script>for (;;);</script>", javascript=True))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left_of(processes) == []


@pytest.mark.parametrize(
    ("path", "word"),
    [("/no/such/chromium", "no program"), ("/bin/true", "does not start"), ("/etc/passwd", "no program")],
)
async def test_a_program_that_is_no_chromium_is_named(path: str, word: str) -> None:
    with pytest.raises(BrowserUnavailable, match=rf"{path}.*{word}|{word}.*{path}") as caught:
        await show(ChromiumBrowser(path), page("x"))
    assert isinstance(caught.value, HandlerError)
    assert "HOLDFAST_CHROMIUM" in str(caught.value)


async def test_a_page_that_cannot_be_printed_is_refused(browser: ChromiumBrowser) -> None:
    with pytest.raises(PageFailed, match="Printing failed"):
        await show(browser, page("x", header="<link rel=stylesheet href=http://a.example/x.css>"))


async def test_neither_process_nor_folder_outlives_a_worker_that_is_killed(tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import asyncio, sys
        sys.path.insert(0, {str(TESTS)!r})
        from datetime import timedelta
        from chromium_world import page, program
        from holdfast.adapters.chromium.browser import ChromiumBrowser

        async def nothing(url): ...

        asked = page("<script>for (;;);</script>", javascript=True)
        asyncio.run(ChromiumBrowser(program()).print(
            asked, nothing, timeout=timedelta(seconds=60), memory=1 << 30, most_bytes=1))
    """)
    with subprocess.Popen([sys.executable, "-c", script], env=os.environ | {"TMPDIR": str(tmp_path)}) as worker:  # noqa: ASYNC220
        eventually(lambda: renderers(worker.pid))
        processes = below(worker.pid)
        worker.kill()
    eventually(lambda: [*left_of(processes[1:]), *tmp_path.iterdir()], lambda left: not left)


async def test_its_folder_goes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    browser = ChromiumBrowser(program())
    assert await well(browser)
    assert len(os.listdir(tmp_path)) == 1  # noqa: PTH208
    await browser.close()
    assert os.listdir(tmp_path) == []  # noqa: PTH208
