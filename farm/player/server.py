"""Serves the playlists of one folder, their files, and a page with a player. Nothing else, to nobody else."""

from __future__ import annotations

import html
import json
import socket
from pathlib import Path
from typing import Final
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from models.vocabulary.errors import ReelyardError

#: What is served at all. mimetypes would take .ts for a translation.
TYPES: Final = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".ts": "video/mp2t",
    ".mp4": "video/mp4",
    ".m4s": "video/iso.segment",
    ".aac": "audio/aac",
}
PLAYABLE: Final = (".m3u8", ".mp4")
#: The page names at most so many recordings, the newest first.
LISTED: Final = 200
_PAGE: Final = Path(__file__).with_name("page.html")
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; media-src 'self' blob:; connect-src 'self'; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class NothingToPlay(ReelyardError):
    """There is nothing to play."""

    code, reason = 9510, "player"


def open_target(target: Path) -> tuple[Path, str]:
    """(folder, name of what plays first). Raises `NothingToPlay`."""
    path = target.resolve()
    if path.is_dir():
        found = playable(path)
        if not found:
            raise NothingToPlay(f"there is no playlist and no MP4 in {target}")
        return path, found[0]
    if not path.is_file():
        raise NothingToPlay(f"there is no {target}")
    if path.suffix not in PLAYABLE:
        raise NothingToPlay(f"{target} is no playlist (.m3u8) and no MP4")
    return path.parent, path.name


def playable(folder: Path) -> list[str]:
    """Recordings below the folder as relative names, the newest first."""
    found = [p for p in folder.rglob("*") if p.suffix in PLAYABLE and p.is_file() and _inside(folder, p)]
    found.sort(key=lambda p: (-p.stat().st_mtime, p.name))
    return [p.relative_to(folder).as_posix() for p in found[:LISTED]]


def app(folder: Path, first: str) -> Starlette:
    async def page(_: Request) -> Response:
        return HTMLResponse(render(first, playable(folder)), headers=_HEADERS)

    async def media(request: Request) -> Response:
        path = folder / request.path_params["name"]
        kind = TYPES.get(path.suffix)
        if kind is None or not _inside(folder, path) or not path.is_file():
            raise HTTPException(404, "there is no such recording here")
        # A playlist grows while it is recorded.
        caching = "no-store" if path.suffix == ".m3u8" else "private, max-age=3600"
        return FileResponse(path, media_type=kind, headers={"Cache-Control": caching, **_HEADERS})

    return Starlette(
        routes=[Route("/", page), Route("/media/{name:path}", media)],
        # Another site's page may make a browser send requests here under its own name (DNS rebinding).
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
    )


def render(first: str, names: list[str]) -> str:
    items = "".join(
        f'<li><a href="/media/{quote(name)}">{html.escape(Path(name).stem)}</a></li>' for name in names or [first]
    )
    chosen = json.dumps(f"/media/{quote(first)}").replace("<", "\\u003c")
    return _PAGE.read_text(encoding="utf-8").replace("{{ITEMS}}", items).replace("{{FIRST}}", chosen)


def listen(port: int) -> socket.socket:
    """On 127.0.0.1; port 0 takes a free one."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise NothingToPlay(f"port {port} of 127.0.0.1 is taken; --port 0 finds a free one") from error


def serve(folder: Path, first: str, sock: socket.socket) -> None:
    """Until Ctrl-C."""
    config = uvicorn.Config(app(folder, first), log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[sock])


def _inside(folder: Path, path: Path) -> bool:
    """Also when links are followed."""
    return path.resolve().is_relative_to(folder)
