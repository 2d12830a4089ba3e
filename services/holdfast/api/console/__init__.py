"""The console: one page and its modules, as they are in `static/`, without a build and without any other host.

The page holds no data. What it shows it asks of the api like any other client, with the key that the person gives it;
so serving it needs no key.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles

FOLDER = Path(__file__).parent / "static"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' blob:",  # previews of artifacts are made from their bytes
        "frame-src blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""The Content-Security-Policy of the page: its own modules and style, its own api, nothing inline."""


def install(app: FastAPI) -> None:
    """Serve the page at `/` and its parts below `/console/`."""

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
        return FileResponse(FOLDER / "index.html", headers=headers)

    app.mount("/console", StaticFiles(directory=FOLDER), name="console")
