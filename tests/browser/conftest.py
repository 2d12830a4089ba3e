"""The console in a real browser, watched: no error in its log, and no request but to the api that served it.

The browser is `HOLDFAST_CHROMIUM`, which `make chromium` fetches; Playwright drives it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, expect, sync_playwright
from receiver import Receiver
from watched import DESK, Watched

from harness import Platform

expect.set_options(timeout=60_000)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(scope="module")
def browser(platform: Platform) -> Iterator[Browser]:
    """Of one module, and after the platform: while Playwright runs, `asyncio.run` is refused in this thread."""
    program = os.environ.get("HOLDFAST_CHROMIUM", "")
    if not Path(program).is_file():
        message = "HOLDFAST_CHROMIUM names no Chromium; `make chromium` fetches one"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=options)
        yield started
        started.close()


@pytest.fixture
def console(browser: Browser, platform: Platform) -> Iterator[Watched]:
    """The console on a desk, in light colours."""
    width, height = DESK
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="light", base_url=platform.url, locale="en"
    )
    context.set_default_timeout(60_000)
    watched = Watched(context.new_page(), platform.url)
    try:
        yield watched
    finally:
        try:
            context.close()
        except Error as error:  # the browser died: the complaints say more
            watched.complaints.append(str(error))
    assert watched.complaints == []


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(SECRET) as running:
        yield running
