"""Standard Webhooks signatures, against the vector of the reference libraries."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.handlers.webhook.signature import BadSignature, secret_bytes, sign, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = datetime.fromtimestamp(1614265330, UTC)
BODY = b'{"test": 2432232314}'


def test_the_signature_is_the_one_of_the_reference_libraries() -> None:
    """The vector of the Standard Webhooks and Svix libraries."""
    headers = sign(ID, AT, BODY, [SECRET])
    assert headers == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert verify(headers, BODY, [SECRET], now=AT) == ID


def test_while_secrets_rotate_any_one_of_them_is_enough() -> None:
    headers = sign(ID, AT, BODY, [OTHER, SECRET])
    assert len(headers["webhook-signature"].split(" ")) == 2
    for known in ([SECRET], [OTHER], [SECRET, OTHER]):
        assert verify(headers, BODY, known, now=AT) == ID


def test_header_names_may_come_in_any_case_and_other_versions_are_passed_over() -> None:
    headers = {name.title(): value for name, value in sign(ID, AT, BODY, [SECRET]).items()}
    headers["Webhook-Signature"] = "v1a,unknown " + headers["Webhook-Signature"]
    assert verify(headers, BODY, [SECRET], now=AT) == ID


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"webhook-id": "msg_other"}, "no signature matches"),
        ({"webhook-id": ""}, "no webhook-id"),
        ({"webhook-timestamp": "1614265331"}, "no signature matches"),
        ({"webhook-timestamp": "soon"}, "not in Unix seconds"),
        ({"webhook-timestamp": "-1"}, "not in Unix seconds"),
        ({"webhook-timestamp": ""}, "missing"),
        ({"webhook-signature": ""}, "no webhook-signature"),
        ({"webhook-signature": "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}, "no webhook-signature"),
        ({"webhook-signature": "v1,g0hM9SsE"}, "no signature matches"),
        ({"webhook-signature": "v1,ü\udcff"}, "no signature matches"),
    ],
)
def test_anything_changed_is_noticed(change: dict[str, str], why: str) -> None:
    with pytest.raises(BadSignature, match=why):
        verify(sign(ID, AT, BODY, [SECRET]) | change, BODY, [SECRET], now=AT)


def test_a_changed_body_or_another_secret_is_noticed() -> None:
    headers = sign(ID, AT, BODY, [SECRET])
    with pytest.raises(BadSignature):
        verify(headers, BODY + b" ", [SECRET], now=AT)
    with pytest.raises(BadSignature):
        verify(headers, BODY, [OTHER], now=AT)
    with pytest.raises(BadSignature):
        verify(headers, BODY, [], now=AT)


@pytest.mark.parametrize(("seconds", "fresh"), [(300, True), (-300, True), (301, False), (-301, False)])
def test_a_webhook_is_fresh_for_five_minutes_either_way(seconds: int, fresh: bool) -> None:
    headers, now = sign(ID, AT, BODY, [SECRET]), AT + timedelta(seconds=seconds)
    if fresh:
        assert verify(headers, BODY, [SECRET], now=now) == ID
    else:
        with pytest.raises(BadSignature, match=r"301 s (old|ahead)"):
            verify(headers, BODY, [SECRET], now=now)


def test_without_a_secret_a_webhook_is_unsigned_but_keeps_its_id() -> None:
    assert sign(ID, AT, BODY, []).keys() == {"webhook-id", "webhook-timestamp"}


@pytest.mark.parametrize("size", [24, 32, 64])
def test_a_secret_of_24_to_64_bytes_is_taken(size: int) -> None:
    assert secret_bytes("whsec_" + base64.b64encode(b"x" * size).decode()) == b"x" * size


@pytest.mark.parametrize(
    "secret",
    ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_not base64!", "whsec_" + "eHh4" * 7, "whsec_" + "eHh4" * 22]
)  # fmt: skip
def test_a_secret_that_is_none_is_refused_without_repeating_it(secret: str) -> None:
    with pytest.raises(ValueError, match=r"secret|base64") as refused:
        secret_bytes(secret)
    assert len(secret) <= 6 or secret not in str(refused.value)


@given(st.binary(max_size=200), st.text("abc_123", min_size=1), st.integers(0, 2**33))
def test_what_was_signed_verifies_and_one_flipped_bit_does_not(body: bytes, name: str, seconds: int) -> None:
    at = datetime.fromtimestamp(seconds, UTC)
    headers = sign(name, at, body, [SECRET])
    assert verify(headers, body, [SECRET], now=at) == name
    flipped = bytes([*body[:-1], body[-1] ^ 1]) if body else b"x"
    with pytest.raises(BadSignature):
        verify(headers, flipped, [SECRET], now=at)
