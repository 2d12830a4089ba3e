"""Photograph every page of the console: `make screenshots`, against the platform that `make demo` left running.

It makes something to look at first (jobs that succeed, one that waits, one that is dead, a breaker that was forced
open), then writes `docs/screenshots/console-*.png`: each page in light and in dark, and the first one on a phone.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import httpx
from playwright.sync_api import Browser, sync_playwright

OUT = Path(__file__).parent / "screenshots"
DESK, PHONE = (1280, 860), (390, 844)
PDF = {"kind": "pdf.render", "payload": {"html": "<h1>Invoice 42</h1><p>Thank you.</p>"}, "tags": ["billing"]}


def main() -> int:
    """Write the pictures; the exit code of the process."""
    api, program = os.environ["HOLDFAST_API_URL"], os.environ["HOLDFAST_CHROMIUM"]
    job = prepare(api)
    places = {"overview": "", "jobs": "jobs", "job": f"jobs/{job}", "dead-letters": "dead-letters"}
    places |= {"downstreams": "downstreams", "submit": "submit?kind=image.transform"}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for name, place in places.items():
            for theme in ("light", "dark"):
                photograph(browser, f"{api}/#/{place}", theme, DESK, OUT / f"console-{name}-{theme}.png")
        photograph(browser, f"{api}/#/", "dark", PHONE, OUT / "console-overview-phone.png")
        browser.close()
    return 0


def prepare(api: str) -> str:
    """Make something to look at; return the id of a job with an attempt that failed."""
    with httpx.Client(base_url=api, timeout=30) as client:

        def submit(kind: str, payload: object, **more: object) -> str:
            body = {"kind": kind, "payload": payload, **more}
            job: str = client.post("/v1/jobs", json=body).raise_for_status().json()["id"]
            return job

        client.post("/v1/jobs/batch", json={"jobs": [PDF] * 12}).raise_for_status()
        missing = "00000000-0000-7000-8000-000000000000"
        submit("image.transform", {"source": {"upload": missing}, "variants": [{"name": "small", "width": 300}]})
        failing = submit(
            "webhook.dispatch", {"url": "http://127.0.0.1:8099/hooks", "body": {"order": 42}}, tags=["orders"]
        )
        submit("pdf.render", PDF["payload"], delay=3600, priority="low")
        forced = {"state": "open", "ttl": 1800, "reason": "their maintenance, until 15:00"}
        client.put("/v1/breakers/webhook:hooks.example.com/override", json=forced).raise_for_status()
        time.sleep(9)  # two attempts of the failing one, and a line of history
        return failing


def photograph(browser: Browser, url: str, theme: str, size: tuple[int, int], path: Path) -> None:
    """One page, once its numbers are there."""
    scheme = "dark" if theme == "dark" else "light"
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, locale="en")
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("h1", state="attached")
    page.wait_for_timeout(6000 if url.endswith("/#/") else 1500)
    page.screenshot(path=path)
    context.close()
    print(path.relative_to(OUT.parents[1]))


if __name__ == "__main__":
    sys.exit(main())
