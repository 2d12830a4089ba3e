"""The console, as a person uses it."""

from __future__ import annotations

import io
import json
import re

import httpx
from PIL import Image
from playwright.sync_api import Page, expect
from receiver import Receiver
from watched import PHONE, Watched

from harness import Platform, eventually
from holdfast.domain.downstream_policy import DownstreamPolicy


def submit_as_json(page: Page, kind: str, payload: object) -> None:
    """Post a job through the form's JSON side; ends on the job's page."""
    page.goto(f"{page.url.split('#')[0]}#/submit?kind={kind}")
    page.get_by_role("button", name="Edit as JSON").click()
    page.locator("textarea[name=payload]").fill(json.dumps(payload))
    page.get_by_role("button", name=f"Submit {kind}").click()
    page.wait_for_url(re.compile(r"#/jobs/[0-9a-f-]{36}"))


def heading(page: Page, state: str) -> None:
    """Wait until the job's page says that it is in `state`."""
    expect(page.locator("h1 .state")).to_have_text(state)


def test_a_job_from_the_form_is_watched_to_its_end_and_its_artifact_opened(console: Watched) -> None:
    page = console.open("submit?kind=pdf.render")
    page.get_by_label("html", exact=True).fill("<h1>From the console</h1>")
    page.get_by_label("Tags").fill("console-test")
    page.get_by_role("button", name="Submit pdf.render").click()
    page.wait_for_url(re.compile(r"#/jobs/[0-9a-f-]{36}"))
    heading(page, "succeeded")
    artifact = page.get_by_role("link", name=re.compile(r"\.pdf$"))
    with page.expect_download() as download:
        artifact.click()
    assert download.value.path().read_bytes().startswith(b"%PDF-")
    page.goto(f"{console.api}/#/jobs?tag=console-test")
    expect(page.locator("table.rows tbody tr")).to_have_count(1)


def test_a_picture_is_uploaded_in_the_form_and_its_variant_shown(console: Watched) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (120, 80), "teal").save(picture, "JPEG")
    page = console.open("submit?kind=image.transform")
    page.get_by_role("button", name="Fill in the example").click()
    page.get_by_role("button", name="Edit as JSON").click()
    stored = httpx.post(
        f"{console.api}/v1/uploads", content=picture.getvalue(), headers={"content-type": "image/jpeg"}, timeout=60
    ).json()
    variants = [{"name": "small", "width": 60, "format": "webp"}]
    payload = json.dumps({"source": {"upload": stored["id"]}, "variants": variants})
    page.locator("textarea[name=payload]").fill(payload)
    page.get_by_role("button", name="Submit image.transform").click()
    heading(page, "succeeded")
    shown = page.locator("figure img")
    expect(shown).to_be_visible()
    assert shown.evaluate("image => image.naturalWidth") == 60


def test_a_payload_that_does_not_fit_is_explained_beside_the_form(console: Watched) -> None:
    page = console.open("submit?kind=webhook.dispatch")
    page.get_by_role("button", name="Edit as JSON").click()
    page.locator("textarea[name=payload]").fill('{"url": "ftp://example.com", "body": 1}')
    page.get_by_role("button", name="Submit webhook.dispatch").click()
    expect(page.get_by_role("alert")).to_contain_text("/payload/url")
    console.complaints.clear()  # the browser logs every answer of 4xx as an error


def test_a_failed_job_is_found_among_the_dead_letters_and_replayed(console: Watched, receiver: Receiver) -> None:
    receiver.fail_next(1, status=410)
    page = console.open()
    submit_as_json(page, "webhook.dispatch", {"url": receiver.url, "body": {"n": 1}, "secret": receiver.secret})
    heading(page, "dead")
    job = page.url.rpartition("/")[2]
    expect(page.locator(".trouble")).to_contain_text("ReceiverGone")
    page.goto(f"{console.api}/#/dead-letters?error=ReceiverGone")
    row = page.locator("tr", has=page.locator(f"a[href='#/jobs/{job}']"))
    row.get_by_role("button", name="Replay…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Replay", exact=True).click()
    expect(row).to_have_count(0)
    page.goto(f"{console.api}/#/jobs/{job}")
    heading(page, "succeeded")
    expect(page.locator(".timeline li")).to_have_count(2)
    assert len(receiver.received) == 1


def test_many_are_counted_before_they_are_replayed(console: Watched, receiver: Receiver) -> None:
    receiver.fail_next(3, status=410)
    for number in range(3):
        payload = {"url": receiver.url, "body": {"n": number}, "secret": receiver.secret}
        body = {"kind": "webhook.dispatch", "payload": payload, "tags": ["bulk"]}
        httpx.post(f"{console.api}/v1/jobs", json=body, timeout=60).raise_for_status()
    page = console.open("dead-letters?error=ReceiverGone")
    expect(page.locator("h2:text('Letters') ~ .scroll tbody tr")).to_have_count(3)
    page.get_by_role("button", name="Replay all that fit…").click()
    expect(page.locator("[data-figure=matched]")).to_have_text("3")
    page.get_by_role("dialog").get_by_role("button", name="Replay 3").click()
    expect(page.get_by_text("No open dead letter fits.")).to_be_visible()
    page.goto(f"{console.api}/#/jobs?tag=bulk&state=succeeded")
    expect(page.locator("table.rows tbody tr")).to_have_count(3)


def test_a_letter_is_dropped_with_a_reason(console: Watched) -> None:
    page = console.open()
    submit_as_json(
        page,
        "image.transform",
        {"source": {"upload": "0" * 8 + "-0000-7000-8000-" + "0" * 12}, "variants": [{"name": "x", "width": 1}]},
    )
    heading(page, "dead")
    job = page.url.rpartition("/")[2]
    page.goto(f"{console.api}/#/dead-letters")
    row = page.locator("tr", has=page.locator(f"a[href='#/jobs/{job}']"))
    row.get_by_role("button", name="Drop…").click()
    page.get_by_label("Why").fill("the source was withdrawn")
    page.get_by_role("dialog").get_by_role("button", name="Drop", exact=True).click()
    expect(row).to_have_count(0)


def test_all_that_fit_are_dropped_after_they_were_counted(console: Watched, receiver: Receiver) -> None:
    receiver.fail_next(2, status=410)
    for number in range(2):
        payload = {"url": receiver.url, "body": {"n": number}, "secret": receiver.secret}
        body = {"kind": "webhook.dispatch", "payload": payload, "tags": ["unwanted"]}
        httpx.post(f"{console.api}/v1/jobs", json=body, timeout=60).raise_for_status()
    page = console.open("dead-letters?error=ReceiverGone")
    expect(page.locator("h2:text('Letters') ~ .scroll tbody tr")).to_have_count(2)
    page.get_by_role("button", name="Drop all that fit…").click()
    expect(page.locator("[data-figure=matched]")).to_have_text("2")
    page.get_by_label("Why").fill("nobody wants them")
    page.get_by_role("dialog").get_by_role("button", name="Drop 2").click()
    expect(page.get_by_text("No open dead letter fits.")).to_be_visible()


def test_a_breaker_is_forced_open_with_a_reason_and_taken_back(console: Watched, receiver: Receiver) -> None:
    page = console.open()
    submit_as_json(page, "webhook.dispatch", {"url": receiver.url, "body": 1, "secret": receiver.secret})
    heading(page, "succeeded")
    name = f"webhook:127.0.0.1:{receiver.url.rpartition(':')[2].partition('/')[0]}"
    page.goto(f"{console.api}/#/downstreams")
    row = page.locator(f"[data-breaker='{name}']")
    row.get_by_role("button", name="Force open…").click()
    page.get_by_label("Why").fill("their maintenance")
    page.get_by_role("dialog").get_by_role("button", name="Send nothing there").click()
    expect(row).to_contain_text("their maintenance")
    page.wait_for_timeout(DownstreamPolicy().fresh_ms)  # until then the worker goes by what it was told before
    submit_as_json(page, "webhook.dispatch", {"url": receiver.url, "body": 2, "secret": receiver.secret})
    heading(page, "waiting")
    page.goto(f"{console.api}/#/downstreams")
    row.get_by_role("button", name="Take back…").click()
    page.get_by_label("Why").fill("they are back & well")
    page.get_by_role("dialog").get_by_role("button", name="Take back").click()
    expect(row.get_by_role("button", name="Force open…")).to_be_visible()
    said = httpx.get(f"{console.api}/v1/audit", params={"target": name}, timeout=60).json()["entries"]
    assert [entry["reason"] for entry in said] == ["they are back & well", "their maintenance"]


def test_the_overview_is_live(console: Watched) -> None:
    page = console.open()
    expect(page.locator(".mode")).to_have_text("live")

    def shown() -> bool:
        """What was done is shown for ten seconds, which a busy machine may let pass, so there is always more of it."""
        body = {"kind": "pdf.render", "payload": {"html": "<p>live</p>"}}
        httpx.post(f"{console.api}/v1/jobs", json=body, timeout=60).raise_for_status()
        return page.get_by_role("link", name="pdf.render").is_visible()

    eventually(shown, every=2.0)


def test_without_a_websocket_it_asks(console: Watched) -> None:
    console.page.route_web_socket(re.compile("/ws/stats"), lambda socket: socket.close(code=1013))
    page = console.open()
    expect(page.locator(".mode")).to_have_text("asking every 2 s")
    expect(page.locator("[data-figure=succeeded]")).to_be_visible()


def test_it_is_usable_from_the_keyboard(console: Watched) -> None:
    page = console.open()
    page.wait_for_selector("[data-figure=succeeded]")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.get_by_role("link", name="Jobs", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    page.get_by_role("button", name="API key").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_no_page_is_wider_than_a_phone(console: Watched) -> None:
    page = console.page
    width, height = PHONE
    page.set_viewport_size({"width": width, "height": height})
    for place in ("", "jobs", "dead-letters", "downstreams", "submit"):
        console.open(place)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, place


def test_the_page_itself_may_load_nothing_from_elsewhere(platform: Platform) -> None:
    answer = httpx.get(f"{platform.url}/", timeout=60)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in re.sub(r'href="/docs"', "", answer.text.replace("http-equiv", ""))
