"""What a `pdf.render` job may ask for, and what it may not; found out at submit, without a child."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from holdfast.handlers.pdf.payload import ENGINES, PdfPayload, Variant


def test_every_variant_is_one_that_weasyprint_has() -> None:
    script = "from weasyprint.pdf import VARIANTS; print(*VARIANTS)"
    known = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    assert set(Variant.__args__) <= set(known)


@pytest.mark.parametrize(
    ("payload", "at", "word"),
    [
        ({}, (), "exactly one"),
        ({"html": "x", "url": "https://a.example/"}, (), "html and url"),
        ({"html": "x", "data": {"a": 1}}, (), "template"),
        ({"url": "file:///etc/passwd"}, ("url",), "http or https"),
        ({"html": "x", "base_url": "/srv"}, ("base_url",), "http or https"),
        ({"html": "x", "variant": "pdf/x-4"}, ("variant",), "pdf/a-3u"),
        ({"html": "x", "name": "../up.pdf"}, ("name",), "pattern"),
        ({"html": "x", "engine": "prince"}, ("engine",), "weasyprint"),
        ({"html": "x", "javascript": True}, (), "javascript: only the engine chromium has that"),
        (
            {"html": "x", "background": False, "wait_for": "load"},
            (),
            "wait_for and background: only",
        ),
        ({"html": "x", "engine": "chromium", "variant": "pdf/a-3b"}, (), "variant: only the engine weasyprint"),
        ({"html": "x", "engine": "chromium", "metadata": {"title": "x"}}, (), "metadata: only the engine weasyprint"),
        ({"html": "x", "engine": "chromium", "wait_for": "ready"}, (), "javascript: true"),
        ({"html": "x", "engine": "chromium", "wait_for": {"selector": "#a"}}, (), "javascript: true"),
        ({"html": "x", "engine": "chromium", "javascript": True, "wait_for": "idle"}, ("wait_for",), "network-idle"),
        ({"html": "x", "time_limit": 0}, ("time_limit",), "greater than 0"),
        ({"html": "x", "heder": "y"}, ("heder",), "Extra"),
    ],
)
def test_a_wrong_payload_is_found_at_submit_and_named(payload: dict[str, Any], at: tuple[str, ...], word: str) -> None:
    with pytest.raises(ValidationError) as caught:
        PdfPayload.model_validate(payload)
    error = caught.value.errors()[0]
    assert error["loc"][: len(at)] == at
    assert word in error["msg"]


def test_an_engine_that_the_installation_lacks_is_refused_with_advice_at_submit_only() -> None:
    asked = {"html": "x", "engine": "chromium"}
    with pytest.raises(ValidationError, match=r"no chromium; use weasyprint.*HOLDFAST_CHROMIUM"):
        PdfPayload.model_validate(asked, context={ENGINES: ("weasyprint",)})
    assert PdfPayload.model_validate(asked, context={ENGINES: ("weasyprint", "chromium")}).engine == "chromium"
    assert PdfPayload.model_validate(asked).engine == "chromium"


def test_the_handler_itself_never_loads_weasyprint() -> None:
    script = "import sys, holdfast.handlers.pdf.render; sys.exit('weasyprint' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
