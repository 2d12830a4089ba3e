"""Hosts that lead inside: every spelling of an address that must not be dialled, and names that resolve to one.

Each is tried as the host of a first URL, as the target of a redirect, and (where it is an address) as what a name
resolves to, at once or only the second time.
"""

# ruff: noqa: E501 (one attack a line)

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

ADDRESSES: dict[str, tuple[str, ...]] = {
    "loopback": (
        "127.0.0.1", "127.0.0.2", "127.255.255.254", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::127.0.0.1",
        "64:ff9b::127.0.0.1", "64:ff9b:1::7f00:1", "64:ff9b:1:ffff:ffff:ffff:7f00:1", "2002:7f00:1::", "2002:7f00:1::1",
        "0:0:0:0:0:ffff:7f00:0001", "0000:0000:0000:0000:0000:0000:0000:0001",
    ),
    "this network": ("0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0", "64:ff9b::"),
    "private": (
        "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "::ffff:10.0.0.1", "::ffff:a00:1",
        "64:ff9b::192.168.0.1", "2002:a00:1::", "fc00::1", "fd12:3456:789a::1", "100.64.0.1", "100.127.255.255",
    ),
    "link-local and site-local": (
        "169.254.0.1", "fe80::1", "fe80::1%lo", "fe80::1%1", "fe80::1%eth0", "fec0::1", "feff::1", "::ffff:169.254.1.1",
    ),
    "metadata": (
        "169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "192.0.0.192", "168.63.129.16",
        "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::", "::ffff:168.63.129.16", "64:ff9b::168.63.129.16",
    ),
    "protocols and documentation": (
        "192.0.0.1", "192.0.0.8", "192.0.0.170", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1",
        "203.0.113.1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "3fff::1", "100::1", "5f00::1",
    ),
    "multicast and reserved": (
        "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "ff02::1", "ff0e::1", "::ffff:224.0.0.1",
        "2002:e000:1::",
    ),
}  # fmt: skip
"""Address literals by kind. A resolver may answer with any of them."""

SPELLINGS: dict[str, tuple[str, ...]] = {
    "decimal": ("2130706433", "2852039166", "0", "1"),
    "octal": ("0177.0.0.1", "017700000001", "0177.0000.0000.0001", "127.0.0.01", "00000000177.0.0.1"),
    "hexadecimal": ("0x7f000001", "0x7f.0.0.1", "0x7f.1", "0X7F000001", "0x7f.0x0.0x0.0x1", "0xA9FEA9FE"),
    "short": ("127.1", "127.0.1", "10.1", "169.254.43518", "192.168.257"),
    "overflowing": ("4294967297", "127.0.0.257", "383.0.0.1", "0x17f000001"),
    "mixed": ("0x7f.0.0.01", "0177.0x0.0.1", "127.0x1"),
    "digits of other scripts": (
        "①②⑦.⓪.⓪.①", "①②⑦.0.0.1", "１２７.0.0.1", "𝟏𝟐𝟕.0.0.1", "١٢٧.0.0.1", "127。0。0。1", "127．0．0．1", "127｡0｡0｡1",
        "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "ｌｏｃａｌｈｏｓｔ", "l\u00adocalhost", "locаlhost.localhost",
    ),
    "names of loopback": (
        "localhost", "LOCALHOST", "LocalHost.", "localhost.", "some.localhost", "a.b.localhost.", "127.0.0.1.",
    ),
    "user names": ("evil@127.0.0.1", "example.com@127.0.0.1", "example.com:80@127.0.0.1", "@127.0.0.1", ":@127.0.0.1",
                   "example.com%40127.0.0.1", "example.com\\@127.0.0.1"),
    "broken brackets": ("[::1", "::1]", "[::1]x", "[127.0.0.1]", "[::ffff:127.0.0.1%25lo]", "[v1.fe80::a+en1]", "[]"),
    "percent-encoded": ("%31%32%37.0.0.1", "127%2e0.0.1", "%6cocalhost", "loc%61lhost", "127.0.0.1%00.example.com"),
    "dots": ("127..0.0.1", ".127.0.0.1", "127.0.0.1..", "...", ".localhost"),
    "separators": ("127.0.0.1#@example.com", "127.0.0.1?@example.com", "127.0.0.1\t", " 127.0.0.1", "127.0.0.1\r\nHost: x",
                   "127.0.0.1;example.com", "127.0.0.1,example.com"),
}  # fmt: skip
"""Hosts as somebody might write them to get past a check of the text."""

SCHEMES = (
    "file:///etc/passwd", "file://localhost/etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:6379/_FLUSHALL",
    "dict://127.0.0.1:11211/stats", "ldap://127.0.0.1/", "data:text/plain,x", "jar:http://127.0.0.1!/", "unix:/run/x.sock",
    "http+unix://%2Frun%2Fx.sock/", "javascript:alert(1)", "ws://127.0.0.1/", "//127.0.0.1/", "http:///127.0.0.1/", "http:127.0.0.1/",
    "http:/127.0.0.1/", "http://", "HTTP://0x7f.1/", "http://127.0.0.1:25/", "http://127.0.0.1:0/", "http://127.0.0.1:65536/",
    "http://127.0.0.1:-1/", "http://127.0.0.1:6667/",
)  # fmt: skip
"""URLs that are refused for what they are, whatever the host."""


@dataclass(frozen=True, slots=True)
class Host:
    """One host to try. `address` says that it is a literal, which a resolver may answer too."""

    kind: str
    text: str
    address: bool

    @property
    def id(self) -> str:
        return f"{self.kind}: {self.text.encode('unicode_escape').decode()}"

    @property
    def in_url(self) -> str:
        """As it stands in a URL."""
        return f"[{self.text.replace('%', '%25')}]" if self.address and ":" in self.text else self.text


def hosts() -> Iterator[Host]:
    """Every address and spelling."""
    for kind, texts in ADDRESSES.items():
        yield from (Host(f"address, {kind}", text, True) for text in texts)
    for kind, texts in SPELLINGS.items():
        yield from (Host(f"spelling, {kind}", text, False) for text in texts)
