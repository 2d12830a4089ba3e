"""The headers and the origin check that depend on settings, without a server."""

from __future__ import annotations

from typing import Any

import httpx
from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from holdfast.api import app as app_module
from holdfast.api.browsers import HSTS, SameOrigin, SecurityHeaders, page
from holdfast.api.strict import StrictRoute


async def hello(_: Any) -> PlainTextResponse:
    return PlainTextResponse("hello", headers={"Cache-Control": "max-age=5"})


def app() -> ASGIApp:
    return Starlette(routes=[Route("/", hello, methods=["GET", "POST"])])


def client(wrapped: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(wrapped), base_url="https://jobs.example.com")


async def test_behind_tls_browsers_are_told_to_stay_with_it() -> None:
    async with client(SecurityHeaders(app(), tls=True)) as http:
        answer = await http.get("/")
    assert answer.headers["strict-transport-security"] == HSTS
    assert answer.headers["cache-control"] == "max-age=5", "what the answer says itself stays"


async def test_the_default_port_of_the_origins_scheme_is_the_same_as_none() -> None:
    async with client(SameOrigin(app(), origins=(), only_loopback=False)) as http:
        for origin, status in {
            "https://jobs.example.com": 200,
            "https://jobs.example.com:443": 200,
            "https://JOBS.example.com": 200,
            "https://jobs.example.com:8443": 403,
            "https://jobs.example.com.evil.example": 403,
            "https://console.example.com": 403,
        }.items():
            answer = await http.post("/", headers={"Origin": origin})
            assert answer.status_code == status, origin


async def test_an_origin_on_the_list_may() -> None:
    console = "https://console.example.com"
    guarded = SameOrigin(app(), origins=[console], only_loopback=False)
    async with client(CORSMiddleware(guarded, [console], allow_methods=["*"], allow_headers=["*"])) as http:
        answer = await http.post("/", headers={"Origin": console})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, console)
        asked = {
            "Origin": console,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "Authorization",
        }
        assert (await http.options("/", headers=asked)).headers["access-control-allow-headers"] == "Authorization"


def test_the_policy_of_a_page_names_the_scripts_in_it_and_nothing_else() -> None:
    assert "script-src 'self';" in page("<script src='/a.js'></script>")
    assert "script-src 'self' 'sha256-" in page("<p><script>\nalert(1)</script>")
    assert "unsafe" not in page("<script>1</script><style>p{}</style>")


def test_every_documented_route_takes_only_what_can_be_kept() -> None:
    routers = [getattr(module, "router", None) for module in vars(app_module).values()]
    routes = [route for router in routers if isinstance(router, APIRouter) for route in router.routes]
    documented = [route for route in routes if isinstance(route, APIRoute) and route.include_in_schema]
    assert len(documented) > 20
    assert [route.path for route in documented if not isinstance(route, StrictRoute)] == []
