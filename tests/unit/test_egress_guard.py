"""The guard's decision about addresses, and what a URL must look like."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.adapters.egress.guard import allowed_networks, forbidden
from holdfast.adapters.egress.target import parse, where
from holdfast.ports.egress import Forbidden

PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_permitted(address: str) -> None:
    assert forbidden(address) is None


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("0.0.0.0", "this network"),
        ("0.1.2.3", "this network"),
        ("10.0.0.1", "private"),
        ("100.64.0.1", "carrier-grade"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("169.254.1.1", "link-local"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.0.0.8", "IETF"),
        ("192.0.0.170", "IETF"),
        ("192.0.2.1", "documentation"),
        ("192.88.99.1", "6to4"),
        ("192.168.1.1", "private"),
        ("198.18.0.1", "benchmarking"),
        ("198.51.100.1", "documentation"),
        ("203.0.113.1", "documentation"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::7f00:1", "IPv4-compatible"),
        ("::808:808", "IPv4-compatible"),
        ("100::1", "not a public"),
        ("2001::1", "Teredo"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"),
        ("2001:2::1", "IETF"),
        ("2001:db8::1", "documentation"),
        ("3fff::1", "documentation"),
        ("4000::1", "not a public"),
        ("5f00::1", "not a public"),
        ("fc00::1", "private"),
        ("fd12:3456::1", "private"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
        ("64:ff9b:1::7f00:1", "private NAT64"),
        ("64:ff9b:1::808:808", "private NAT64"),
    ],
)
def test_a_special_address_is_refused_for_its_reason(address: str, what: str) -> None:
    assert what in (forbidden(address) or "permitted")


@pytest.mark.parametrize(
    "wrapped",
    ["::ffff:127.0.0.1", "::ffff:7f00:1", "64:ff9b::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:7f00:1::1"],
)
def test_loopback_inside_ipv6_is_loopback(wrapped: str) -> None:
    assert forbidden(wrapped) == "a loopback address"
    assert forbidden(wrapped, allowed_networks(["127.0.0.1/32"])) is None


@pytest.mark.parametrize("wrapped", ["::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"])
def test_a_public_address_inside_ipv6_is_public(wrapped: str) -> None:
    """A network without IPv4 reaches the IPv4 internet by NAT64 only, so it has to stay open."""
    assert forbidden(wrapped) is None


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254",
     "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::"],
)  # fmt: skip
def test_a_metadata_address_is_opened_by_its_own_entry_only(address: str) -> None:
    broad = allowed_networks(["0.0.0.0/0", "::/0", "169.254.0.0/16", "fd00::/8"])
    assert forbidden(address) == "a cloud metadata address"
    assert forbidden(address, broad) == "a cloud metadata address"
    assert forbidden(address, allowed_networks([address])) is None


def test_the_allow_list_opens_its_networks_and_no_others() -> None:
    allow = allowed_networks(["10.1.0.0/16", "fd12::/16"])
    assert forbidden("10.1.2.3", allow) is None
    assert forbidden("::ffff:10.1.2.3", allow) is None
    assert forbidden("fd12::1", allow) is None
    assert forbidden("10.2.0.1", allow) == "a private address"
    assert forbidden("127.0.0.1", allow) == "a loopback address"


@pytest.mark.parametrize("entry", ["10.0.0.1/8", "localhost", "10.0.0.0/40", ""])
def test_an_allow_list_entry_that_is_no_network_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="HOLDFAST_EGRESS_ALLOW"):
        allowed_networks([entry])


@given(st.integers(0, 2**32 - 1))
def test_whatever_python_knows_to_be_special_is_refused(bits: int) -> None:
    """The list may be stricter than `ipaddress`, never laxer; and no wrapping changes the answer."""
    address = IPv4Address(bits)
    if not address.is_global or address.is_multicast:
        assert forbidden(address) is not None
    for wrapped in (bits | 0xFFFF << 32, bits | 0x64FF9B << 96, bits << 80 | 0x2002 << 112):
        assert forbidden(IPv6Address(wrapped)) == forbidden(address)


@given(st.ip_addresses(v=6))
def test_no_ipv6_address_outside_global_unicast_is_permitted_but_wrapped_ones(address: IPv6Address) -> None:
    wrapped = address in (ip_address("::ffff:0:0"), ip_address("64:ff9b::")) or address.ipv4_mapped is not None
    if forbidden(address) is None and not wrapped:
        assert int(address) >> 125 == 0b001 or int(address) >> 32 == 0x64FF9B << 64


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "//example.com/",
        "example.com",
        "",
        "http://",
        "http:///path",
        "http://user@example.com/",
        "http://user:word@example.com/",
        "http://:word@example.com/",
        "http://example.com:0/",
        "http://example.com:99999/",
        "http://example.com:25/",
        "http://example.com:x/",
        "http://exa mple.com/",
        "http://example.com/\r\nHost: other",
        "http://example.com\\@127.0.0.1/",
        "http://example.com\t/",
        "http://ex%61mple.com/",
        "http://%31%32%37.0.0.1/",
        "http://[::1/",
        "http://[v1.fe80::a+en1]/",
        "http://[::1%25]/",
        "http://...",
        "http://example..com/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://017700000001/",
        "http://127.1/",
        "http://127.0.1/",
        "http://127.0.0.01/",
        "http://0/",
        "http://0x/",
        "http://" + "a" * 9000,
    ],
)
def test_a_url_that_is_not_plainly_one_is_refused_before_anything_is_resolved(url: str) -> None:
    with pytest.raises(Forbidden) as refused:
        parse(url)
    assert refused.value.error == "InvalidUrl"


def test_a_plain_url_is_taken_as_it_is() -> None:
    url = parse("https://hooks.Example.com:8443/a%2Fb?c=%2B&d=e#fragment")
    assert str(url) == "https://hooks.example.com:8443/a%2Fb?c=%2B&d=e"
    assert where(url) == "hooks.example.com:8443"
    assert parse("http://bücher.example/").raw_host == "xn--bcher-kva.example"


def test_a_message_never_repeats_path_or_query() -> None:
    with pytest.raises(Forbidden) as refused:
        parse("ftp://example.com/hidden?token=hidden")
    assert "hidden" not in str(refused.value)
