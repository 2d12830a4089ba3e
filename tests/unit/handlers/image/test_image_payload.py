"""What an `image.transform` job may ask for, and what it may not; found out at submit, without a child."""

from __future__ import annotations

import subprocess
import sys
import uuid
from typing import Any

import pytest
from pydantic import ValidationError

from holdfast.handlers.image.payload import ImagePayload
from holdfast.handlers.source import Source


def test_the_handler_itself_never_loads_libvips() -> None:
    script = "import sys, holdfast.handlers.image.transform; sys.exit('pyvips' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(
    ("variant", "at", "word"),
    [
        ({"name": "Ünsafe"}, ("variants", 0, "name"), "pattern"),
        ({"name": "../up"}, ("variants", 0, "name"), "pattern"),
        ({"name": "a", "widht": 3}, ("variants", 0, "widht"), "Extra"),
        ({"name": "a", "width": 99_999}, ("variants", 0, "width"), "16383"),
        ({"name": "a", "width": 9, "fit": "cover"}, ("variants", 0), "needs both"),
        ({"name": "a", "format": "png", "quality": 3}, ("variants", 0), "lossless"),
        ({"name": "a", "background": "mauve"}, ("variants", 0, "background"), "#rrggbb"),
        ({"name": "a", "watermark": {}}, ("variants", 0, "watermark"), "exactly one"),
    ],
)
def test_a_wrong_variant_is_found_at_submit_and_named(variant: dict[str, Any], at: tuple[Any, ...], word: str) -> None:
    source = {"url": "https://example.com/a.jpg"}
    with pytest.raises(ValidationError) as caught:
        ImagePayload.model_validate({"source": source, "variants": [variant]})
    (error,) = caught.value.errors()
    assert error["loc"] == at
    assert word in error["msg"]


def test_names_are_unique() -> None:
    variants = [{"name": "a"}, {"name": "a", "format": "png"}]
    with pytest.raises(ValidationError, match="unique"):
        ImagePayload.model_validate({"source": {"url": "https://example.com/a.jpg"}, "variants": variants})


@pytest.mark.parametrize(
    ("source", "at", "word"),
    [
        ({}, (), "none of them"),
        ({"url": "https://a.example/", "upload": str(uuid.uuid4())}, (), "url and upload"),
        ({"url": "ftp://a.example/"}, ("url",), "http or https"),
        ({"url": "file:///etc/passwd"}, ("url",), "http or https"),
        ({"url": "/relative"}, ("url",), "http or https"),
        ({"url": "http://[::1"}, ("url",), "http or https"),
        ({"upload": "../../etc"}, ("upload",), "UUID"),
        ({"artifact": {"job_id": str(uuid.uuid4())}}, ("artifact", "name"), "required"),
        ({"path": "/etc/passwd"}, ("path",), "Extra"),
    ],
)
def test_a_wrong_source_names_its_field(source: dict[str, Any], at: tuple[str, ...], word: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Source.model_validate(source)
    error = caught.value.errors()[0]
    assert error["loc"] == at
    assert word in error["msg"]
