"""The API's documentation in a real browser: its policy lets it work, and work completely."""

from __future__ import annotations

from playwright.sync_api import expect
from watched import Watched


def test_the_docs_page_shows_every_group_and_lets_a_key_be_entered(console: Watched) -> None:
    page = console.page
    page.goto("/docs")
    expect(page.locator("#operations-jobs-submit_v1_jobs_post")).to_be_visible()
    expect(page.locator(".opblock-tag")).to_have_count(len(page.evaluate(TAGS)))
    page.get_by_role("button", name="Authorize").click()
    expect(page.locator(".auth-container input")).to_be_visible()


TAGS = """async () => {
  const paths = Object.values((await (await fetch('/openapi.json')).json()).paths)
  return [...new Set(paths.flatMap(item => Object.values(item).flatMap(it => it.tags)))]
}"""
