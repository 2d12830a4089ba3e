"""Where the egress dials: no inner address however it is spelled, redirected to or resolved."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from egress_world import KIB, LOOPBACK, TEN, Names, plain, redirect, serving
from harness import free_port
from holdfast.adapters.egress import AiohttpEgress
from holdfast.ports.egress import Forbidden, Unreachable


@pytest.fixture
async def guarded() -> AsyncIterator[AiohttpEgress]:
    client = AiohttpEgress()
    yield client
    await client.close()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "127.255.255.254",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "some.localhost",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1%25lo]",
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "0x7f000001",
        "0x7f.1",
        "127.1",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "169.254.169.254",
        "[fd00:ec2::254]",
    ],
)
async def test_no_spelling_of_an_inner_address_is_dialled(guarded: AiohttpEgress, host: str) -> None:
    async with serving(plain(b"inside")) as server:
        with pytest.raises(Forbidden):
            await guarded.get(f"http://{host}:{server.port}/", limit=KIB, timeout=TEN)
        with pytest.raises(Forbidden):
            await guarded.post(f"http://{host}:{server.port}/", b"{}", {}, limit=KIB, timeout=TEN)
    assert server.connections == 0


async def test_the_message_names_host_address_reason_and_cure(guarded: AiohttpEgress) -> None:
    with pytest.raises(Forbidden) as refused:
        await guarded.get("http://127.0.0.1:8000/hidden?token=hidden", limit=KIB, timeout=TEN)
    assert str(refused.value) == (
        "127.0.0.1 is a loopback address; add its network to HOLDFAST_EGRESS_ALLOW to permit it"
    )

    client = AiohttpEgress(resolver=Names(inner_test=[["10.0.0.7"]]))
    with pytest.raises(Forbidden, match=r"inner\.test resolves to 10\.0\.0\.7, which is a private address"):
        await client.get("http://inner.test/", limit=KIB, timeout=TEN)
    await client.close()


async def test_a_redirect_to_loopback_is_refused_at_the_dial() -> None:
    client = AiohttpEgress(LOOPBACK)
    async with serving(plain(b"inside")) as inner, serving(redirect(f"http://127.0.0.2:{inner.port}/")) as outer:
        with pytest.raises(Forbidden, match=r"127\.0\.0\.2 is a loopback address"):
            await client.get(outer.url, limit=KIB, timeout=TEN)
        assert inner.connections == 0
    await client.close()


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://a:b@127.0.0.1/", "http://0x7f.1/"]
)
async def test_a_redirect_is_parsed_as_strictly_as_a_first_url(egress: AiohttpEgress, location: str) -> None:
    async with serving(redirect(location)) as server:
        with pytest.raises(Forbidden):
            await egress.get(server.url, limit=KIB, timeout=TEN)


async def test_a_name_that_turns_to_loopback_after_it_was_checked_is_not_dialled() -> None:
    """DNS rebinding: the first answer is public (and reachable here), the second is loopback."""
    async with serving(plain(b"outside", "Connection: close")) as server:
        names = Names(turncoat_test=[["127.0.0.1"], ["127.0.0.2"]])
        client = AiohttpEgress(LOOPBACK, resolver=names)
        url = f"http://turncoat.test:{server.port}/"
        assert (await client.get(url, limit=KIB, timeout=TEN)).body == b"outside"
        exchange = next(iter(client._exchanges.values()))
        exchange.connector.clear_dns_cache()
        with pytest.raises(Forbidden, match=r"127\.0\.0\.2"):
            await client.get(url, limit=KIB, timeout=TEN)
        await client.close()
    assert names.asked == ["turncoat.test", "turncoat.test"]
    assert server.connections == 1


async def test_of_a_mixed_answer_only_permitted_addresses_are_dialled() -> None:
    async with serving(plain(b"permitted")) as server:
        client = AiohttpEgress(LOOPBACK, resolver=Names(mixed_test=[["10.0.0.1", "127.0.0.2", "127.0.0.1", "::1"]]))
        answer = await client.get(f"http://mixed.test:{server.port}/", limit=KIB, timeout=TEN)
        assert answer.body == b"permitted"
        await client.close()


async def test_a_mixed_answer_whose_permitted_address_is_down_is_unreachable_not_forbidden() -> None:
    client = AiohttpEgress(LOOPBACK, resolver=Names(mixed_test=[["10.0.0.1", "127.0.0.1"]]))
    with pytest.raises(Unreachable) as failed:
        await client.get(f"http://mixed.test:{free_port()}/", limit=KIB, timeout=TEN)
    assert failed.value.error == "ConnectionRefused"
    await client.close()


async def test_proxies_of_the_environment_are_not_used(egress: AiohttpEgress, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(plain(b"proxy")) as proxy, serving(plain(b"origin")) as origin:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        assert (await egress.get(origin.url, limit=KIB, timeout=TEN)).body == b"origin"
        assert proxy.connections == 0
