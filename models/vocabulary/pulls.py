"""The users of a `pull:` channel: each is a URL that recorders read. Pure; nothing that is shown of one is secret."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from models.vocabulary.errors import BadParameter

SCHEME: Final = "pull:"
#: A recorder reads each user in a thread of its own.
MAX_USERS: Final = 32
#: Of all channels of an app: they stay until they are removed.
MAX_OF_APP: Final = 10_000
MAX_UID: Final = 64
MAX_URL: Final = 2_000

PORTS: Final = {"http": 80, "https": 443, "rtmp": 1935, "rtmps": 443, "rtsp": 554, "rtsps": 322}
SECURE: Final = frozenset({"https", "rtmps", "rtsps"})
READ: Final = "rtmp://, rtmps://, rtsp://, rtsps://, http:// or https://"
_NO_SRT: Final = "srt:// cannot be read: the libav of PyAV's wheels is built without it"


@dataclass(frozen=True, slots=True)
class Source:
    """A URL taken apart. `str` of it is for logs and records: stream keys stand in paths and queries, so neither is told."""

    scheme: str
    host: str  # without brackets; "" of a file
    port: int
    target: str = field(repr=False)  # path and query; of a file its path
    login: str = field(default="", repr=False)  # USER[:PASSWORD] as it stood, still quoted

    def __str__(self) -> str:
        if self.scheme == "file":
            return "file:"
        return f"{self.scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def secure(self) -> bool:
        return self.scheme in SECURE

    @property
    def credentials(self) -> tuple[str, str] | None:
        """User and password, unquoted."""
        user, _, password = self.login.partition(":")
        return (unquote(user), unquote(password)) if self.login else None


def source(url: str, *, files: bool = False) -> Source:
    """Raises `BadParameter`, whose text never repeats the URL. `files`: whether it may be a file of the recorder's host."""
    if not 0 < len(url) <= MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise BadParameter(f"a URL has 1 to {MAX_URL} printable ASCII characters without spaces; quote others")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadParameter("that is no URL") from None
    if parts.scheme == "srt":
        raise BadParameter(_NO_SRT)
    if parts.scheme == "file":
        return _file(parts.netloc, unquote(parts.path), allowed=files)
    if parts.scheme not in PORTS:
        raise BadParameter(f"a user's URL begins with {READ}")
    if not parts.hostname or port == 0:
        raise BadParameter("the URL names no host")
    login, at, _ = parts.netloc.rpartition("@")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    default = PORTS[parts.scheme]
    return Source(parts.scheme, parts.hostname, port or default, target, login if at else "")


def _file(host: str, path: str, *, allowed: bool) -> Source:
    if not allowed:
        raise BadParameter("file: is for the operator's own command line only")
    if host or not path.startswith("/"):
        raise BadParameter("a file's URL is file:/PATH, from the root on")
    return Source("file", "", 0, path)


def check_uid(uid: str) -> None:
    """Raises `BadParameter`."""
    if not 0 < len(uid) <= MAX_UID or not uid.isprintable():
        raise BadParameter(f"uid must have 1 to {MAX_UID} printable characters")
