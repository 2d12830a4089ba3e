"""One host has one breaker, however a client spells it."""

from __future__ import annotations

import pytest

from holdfast.handlers.destination import destination


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://API.Example.COM/hooks?x=1", "webhook:api.example.com"),
        ("https://api.example.com:443/", "webhook:api.example.com"),
        ("http://api.example.com.:80/", "webhook:api.example.com"),
        ("https://api.example.com:8443/", "webhook:api.example.com:8443"),
        ("http://api.example.com:443/", "webhook:api.example.com:443"),
        ("https://bücher.example/", "webhook:xn--bcher-kva.example"),
        ("http://127.0.0.1:9000/in", "webhook:127.0.0.1:9000"),
        ("http://[2001:db8::1]:9000/in", "webhook:[2001:db8::1]:9000"),
        ("http://user:secret@example.com/", "webhook:example.com"),
        ("http://", "webhook:nowhere"),
        ("http://[::1", "webhook:nowhere"),
    ],
)
def test_spellings_of_a_host(url: str, name: str) -> None:
    assert destination("webhook", url) == name
