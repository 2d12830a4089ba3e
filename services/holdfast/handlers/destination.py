"""The name under which a URL's host is known to the circuit breakers: `webhook:api.example.com`, the port if unusual.

One host has one name, however a client spells it: lower case, IDNA (`bücher.example` is `xn--bcher-kva.example`), no
final dot, no default port.
"""

from __future__ import annotations

from functools import lru_cache

from yarl import URL

NOWHERE = "nowhere"
"""What has no host is refused before anything is dialled."""


@lru_cache(1_000)
def destination(family: str, url: str) -> str:
    """The downstream of `url` in a family such as `webhook`."""
    try:
        parsed = URL(url)
        host, port = (parsed.raw_host or "").lower().rstrip("."), parsed.port
    except (ValueError, UnicodeError):
        host, port = "", None
    if not host:
        return f"{family}:{NOWHERE}"
    place = f"[{host}]" if ":" in host else host
    return f"{family}:{place}" if parsed.is_default_port() or not port else f"{family}:{place}:{port}"
