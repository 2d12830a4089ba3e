"""Which addresses may be dialled: one pure decision, taken on the address itself.

Invariant: the decision is never taken on a name or on the text of a URL. A name can resolve to something else
a moment later, and one address has many spellings (`2130706433`, `0x7f.1`, `①②⑦.0.0.1`, `[::ffff:127.0.0.1]`),
so the socket factory asks here about the very address that `connect` is about to get.

`ipaddress.is_global` alone is not enough: it lags behind the IANA registries, calls multicast global, and does not
look inside IPv6 addresses that carry an IPv4 one. So what is refused is listed here with its reason, and IPv6 is
refused unless it is global unicast (2000::/3) or a well-known wrapping of a permitted IPv4 address.

Sources: https://www.iana.org/assignments/iana-ipv4-special-registry, the IPv6 registry beside it, RFC 6890,
RFC 6052 and RFC 8215 (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo).
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Allowed = tuple[Network, ...]

_METADATA: frozenset[Address] = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",  # AWS, Google, Azure, DigitalOcean, OpenStack
        "169.254.170.2",  # the credentials of an AWS ECS task
        "169.254.170.23",  # the credentials of an AWS EKS pod
        "100.100.100.200",  # Alibaba
        "192.0.0.192",  # Oracle
        "168.63.129.16",  # the Azure wire server, which is a public address
        "fd00:ec2::254",  # AWS over IPv6
        "fd00:ec2::23",  # the credentials of an AWS EKS pod over IPv6
        "fd20:ce::254",  # Google over IPv6
    )
)

_REFUSED_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), what)
    for network, what in (
        ("0.0.0.0/8", 'an address of "this network"'),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "a shared (carrier-grade NAT) address"),
        ("127.0.0.0/8", "a loopback address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "an address of IETF protocols"),
        ("192.0.2.0/24", "a documentation address"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "a benchmarking address"),
        ("198.51.100.0/24", "a documentation address"),
        ("203.0.113.0/24", "a documentation address"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
    )
)

_REFUSED_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), what)
    for network, what in (
        ("::/128", "the unspecified address"),
        ("::1/128", "a loopback address"),
        ("::/96", "an IPv4-compatible address"),
        ("64:ff9b:1::/48", "an address of a private NAT64"),
        ("2001::/32", "a Teredo address"),
        ("2001::/23", "an address of IETF protocols"),
        ("2001:db8::/32", "a documentation address"),
        ("3fff::/20", "a documentation address"),
        ("fc00::/7", "a private (unique local) address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a site-local address"),
        ("ff00::/8", "a multicast address"),
    )
)

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")


def allowed_networks(entries: Iterable[str]) -> Allowed:
    """Parse `settings.egress_allow`; raise ValueError that names the entry which is not a network."""
    return tuple(_network(entry) for entry in entries)


def forbidden(address: Address | str, allow: Allowed = ()) -> str | None:
    """Say what kind of address this is when it may not be dialled (`a loopback address`), else None.

    `allow` opens networks, whatever IPv6 spelling their addresses come in. A cloud metadata address is opened only
    by an entry for exactly that address: a broad range that happens to contain it is not enough.
    """
    try:
        given = ip_address(address)
    except ValueError:
        return "no address"
    inner = _unwrapped(given)
    if inner in _METADATA or given in _METADATA:
        exact = any(net.num_addresses == 1 and (inner in net or given in net) for net in allow)
        return None if exact else "a cloud metadata address"
    if any(inner in net or given in net for net in allow):
        return None
    return _refused_v4(inner) if isinstance(inner, IPv4Address) else _refused_v6(inner)


def _network(entry: str) -> Network:
    try:
        return ip_network(entry)
    except ValueError as error:
        raise ValueError(f"HOLDFAST_EGRESS_ALLOW: {error}; write networks such as 10.0.0.0/8 or 127.0.0.1/32") from None


def _unwrapped(address: Address) -> Address:
    """The IPv4 address that a mapped, NAT64 or 6to4 address stands for, else the address without its zone."""
    if isinstance(address, IPv4Address):
        return address
    bits = int(address)
    if address in _MAPPED or address in _NAT64:
        return IPv4Address(bits & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        return IPv4Address(bits >> 80 & 0xFFFFFFFF)
    return IPv6Address(bits)


def _refused_v4(address: IPv4Address) -> str | None:
    for network, what in _REFUSED_V4:
        if address in network:
            return what
    return None


def _refused_v6(address: IPv6Address) -> str | None:
    for network, what in _REFUSED_V6:
        if address in network:
            return what
    return None if address in _GLOBAL_UNICAST else "not a public address"
