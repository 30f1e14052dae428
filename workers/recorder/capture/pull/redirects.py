"""RTSP servers may send a client elsewhere (RFC 2326 §11.3), and libav goes there, unjudged. What would send it is not passed on."""

from __future__ import annotations

from typing import Final

from models.vocabulary.errors import FetchRefused

#: Nine given letters in a row do not come about by chance in media. libav drops CR wherever it stands.
_LOCATION: Final = b"location:"
_CONTENT_LOCATION: Final = b"content-location:"
_KEPT: Final = len(_CONTENT_LOCATION) - 1


class NoRedirects:
    def __init__(self) -> None:
        self._tail = b""

    def __call__(self, piece: bytes) -> None:
        """Raises `FetchRefused`."""
        text = self._tail + piece.replace(b"\r", b"").lower()
        if _LOCATION in text.replace(_CONTENT_LOCATION, b""):
            raise FetchRefused("the server sends recorders elsewhere, where this one does not go")
        self._tail = text[-_KEPT:]
