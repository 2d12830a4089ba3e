"""No spelling of an inner address is dialled: not as a URL, not as a redirect, not as what a name resolves to."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from corpus.addresses import SCHEMES, Host, hosts
from corpus.watch import DIALS
from egress_world import Names, plain, redirect, serving
from holdfast.adapters.egress import AiohttpEgress
from holdfast.domain.errors import HandlerError
from holdfast.ports.egress import Forbidden

KIB = 1024
TEN = timedelta(seconds=10)
HOSTS = list(hosts())
LITERALS = [host for host in HOSTS if host.address]


@pytest.fixture
async def guarded() -> AsyncIterator[AiohttpEgress]:
    """Nothing is allowed but what everybody is; a name that is no literal resolves to loopback."""
    client = AiohttpEgress(resolver=Everywhere("127.0.0.1"))
    yield client
    await client.close()


class Everywhere(Names):
    """Every name resolves to these addresses."""

    def __init__(self, *addresses: str) -> None:
        super().__init__()
        self.addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list:
        self.answers[host] = [list(self.addresses)]
        return await super().resolve(host, port, family)


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.id)
async def test_no_spelling_is_dialled(guarded: AiohttpEgress, host: Host) -> None:
    for scheme in ("http", "https"):
        with pytest.raises(Forbidden):
            await guarded.get(f"{scheme}://{host.in_url}:8000/", limit=KIB, timeout=TEN)
        with pytest.raises(Forbidden):
            await guarded.post(f"{scheme}://{host.in_url}:8000/", b"{}", {}, limit=KIB, timeout=TEN)
    assert DIALS.seen == []


async def test_no_redirect_leads_to_any_spelling() -> None:
    """The redirecting server is permitted, alone; everything it points to is not."""
    client = AiohttpEgress(["127.0.0.9/32"], resolver=Names(outside_test=[["127.0.0.9"]]))
    reached, targets = [], [f"http://{host.in_url}:8000/" for host in HOSTS if host.text.isprintable()]
    async with serving(plain(b""), host="127.0.0.9") as server:
        for target in targets:
            server.answer = redirect(target)
            try:
                await client.get(f"http://outside.test:{server.port}/", limit=KIB, timeout=TEN)
            except HandlerError as error:
                if error.error not in ("Forbidden", "InvalidUrl", "NameNotResolved", "BrokenResponse"):
                    reached.append((target, error.error))
            else:
                reached.append((target, "answered"))
    await client.close()
    assert reached == []
    assert set(DIALS.seen) == {"127.0.0.9"}


@pytest.mark.parametrize("host", LITERALS, ids=lambda host: host.id)
async def test_no_name_leads_to_an_inner_address_now_or_later(host: Host) -> None:
    """DNS rebinding: permitted when it is asked first, inside when it is asked again; and mixed in one answer."""
    address = host.text.partition("%")[0]
    names = Names(turncoat_test=[["127.0.0.9"], [address]], mixed_test=[[address, "127.0.0.9", address]])
    client = AiohttpEgress(["127.0.0.9/32"], resolver=names)
    async with serving(plain(b"outside", "Connection: close"), host="127.0.0.9") as server:
        for name in ("turncoat.test", "mixed.test"):
            answer = await client.get(f"http://{name}:{server.port}/", limit=KIB, timeout=TEN)
            assert answer.body == b"outside"
        exchange = next(iter(client._exchanges.values()))
        exchange.connector.clear_dns_cache()
        with pytest.raises(Forbidden):
            await client.get(f"http://turncoat.test:{server.port}/", limit=KIB, timeout=TEN)
    await client.close()
    assert set(DIALS.seen) == {"127.0.0.9"}


@pytest.mark.parametrize("url", SCHEMES)
async def test_a_url_of_another_kind_is_refused(guarded: AiohttpEgress, url: str) -> None:
    with pytest.raises(Forbidden):
        await guarded.get(url, limit=KIB, timeout=TEN)
    assert DIALS.seen == []


async def test_metadata_names_are_refused_by_what_they_resolve_to() -> None:
    for name, address in (("metadata.google.internal", "169.254.169.254"), ("instance-data", "169.254.169.254")):
        client = AiohttpEgress(["169.254.0.0/16", "0.0.0.0/0"], resolver=Everywhere(address))
        with pytest.raises(Forbidden, match="cloud metadata"):
            await client.get(f"http://{name}/computeMetadata/v1/", limit=KIB, timeout=TEN)
        await client.close()
    assert DIALS.seen == []
