"""`/join`: a page that publishes camera, microphone and screen into a WHIP room."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.responses import FileResponse

router = APIRouter(include_in_schema=False)

_PAGES: Final = Path(__file__).parents[1] / "pages"
#: The ingest stands at another origin, and the page knows it only when it is sent there.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; media-src blob: mediastream:; "
    "connect-src http: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@router.get("/join")
async def page() -> FileResponse:
    """Address: `/join#url=…&token=…`, both as `POST /v1/apps/{appid}/whip-tokens` answers them."""
    return FileResponse(_PAGES / "join.html", media_type="text/html", headers=_HEADERS)


@router.get("/join.js")
async def script() -> FileResponse:
    return FileResponse(_PAGES / "join.js", media_type="text/javascript", headers=_HEADERS)
