"""What a URL must look like before anything is resolved or dialled.

The URL is parsed once, by the same library that dials (yarl), so that no second parser can read another host into
it. Whether the host's address is permitted is not decided here but in `guard`, when the address is known.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address

from yarl import URL

from holdfast.ports.egress import Forbidden

MAX_URL_LENGTH = 8000
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")
_NUMERIC_LABEL = re.compile(r"(0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
_DOTTED_QUAD = re.compile(r"(0|[1-9][0-9]{0,2})(\.(0|[1-9][0-9]{0,2})){3}")

# fmt: off
BLOCKED_PORTS = frozenset({
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110,
    111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532,
    540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061,
    6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
})
"""Ports of other protocols, to which browsers send no HTTP either (https://fetch.spec.whatwg.org/#port-blocking)."""
# fmt: on


@lru_cache(1_000)
def parse(url: str) -> URL:
    """Return the URL when it is http(s), with a host, without credentials; raise Forbidden saying what is wrong."""
    if len(url) > MAX_URL_LENGTH:
        raise _invalid(f"is longer than {MAX_URL_LENGTH} characters")
    if _UNSAFE.search(url):
        raise _invalid("contains spaces, control characters or backslashes; percent-encode them")
    try:
        parsed = URL(url)
        host, port = parsed.host, parsed.explicit_port
        ascii_host = parsed.raw_host
    except (ValueError, UnicodeError) as error:
        raise _invalid(f"cannot be parsed ({error})") from None
    if parsed.scheme not in {"http", "https"}:
        raise _invalid(f"has the scheme {parsed.scheme or 'none'!r}; use http or https")
    if not host or not ascii_host:
        raise _invalid("has no host")
    if not (_is_ipv6(host) if ":" in host else _NAME.fullmatch(ascii_host)):
        raise _invalid(f"names the host {host!r}, which is neither a host name nor an address")
    if parsed.user is not None or parsed.password is not None:
        raise _invalid("contains a user name or a password; send credentials in a header")
    if port is not None and (not 0 < port < 65536 or port in BLOCKED_PORTS):
        raise _invalid(f"names the port {port}, to which no HTTP is sent")
    if _odd_number(host):
        raise _invalid(f"spells its address as {host!r}; write IPv4 as four decimal numbers")
    return parsed.with_fragment(None)


def where(url: URL) -> str:
    """The host and port, for messages: never the path or the query, which may carry secrets."""
    return f"{url.host}:{url.port}"


def _is_ipv6(host: str) -> bool:
    """False for what only RFC 3986 knows (`[v1.fe80::a]`): nobody can dial that."""
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True


def _odd_number(host: str) -> bool:
    """Whether the resolver would read the host as a number (`inet_aton`) that is not a plain dotted quad."""
    bare = host.rstrip(".")
    return all(_NUMERIC_LABEL.fullmatch(part) for part in bare.split(".")) and not _DOTTED_QUAD.fullmatch(bare)


def _invalid(what: str) -> Forbidden:
    return Forbidden(f"the URL {what}", error="InvalidUrl")
