"""The name under which a URL's host is known to the circuit breakers: `webhook:api.example.com`, the port if unusual.

One host has one name, however a client spells it: lower case, IDNA (`bücher.example` is `xn--bcher-kva.example`), no
final dot, no default port.
"""

from __future__ import annotations

from yarl import URL

NOWHERE = "nowhere"
"""What has no host is refused before anything is dialled."""


def destination(family: str, url: str) -> str:
    """The downstream of `url` in a family such as `webhook`."""
    try:
        parsed = URL(url)
        host = (parsed.raw_host or "").lower().rstrip(".")
        port = "" if parsed.is_default_port() else f":{parsed.explicit_port}"
    except (ValueError, UnicodeError):
        return f"{family}:{NOWHERE}"
    return f"{family}:[{host}]{port}" if ":" in host else f"{family}:{host or NOWHERE}{port}"
