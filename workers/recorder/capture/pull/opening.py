"""Ways to a source: what libav is given to open it, and how a read that hangs is ended.

libav itself connects to nothing but ports of this host (`net.relay`): HTTP is fetched by our own guarded client, playlists
and segments included, and what any of them names beyond http and https is refused.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import av
from av.container.input import InputContainer

from models.vocabulary.errors import FetchFailed, FetchRefused, ReelyardError
from models.vocabulary.pulls import Source
from net.connections import within
from net.relay import LOOPBACK, Relay
from net.webfile import Web, WebFile
from workers.recorder.capture.pull import playlists
from workers.recorder.capture.pull.alignment import Live, Played

OPEN_S: Final = 10.0
#: A live source that sends nothing for so long has gone.
LIVE_READ_S: Final = 5.0
#: A playlist's next segment may be a long time in coming.
PLAYED_READ_S: Final = 30.0
_MOST_SEGMENT_BYTES: Final = 256 << 20
_WRITES: Final = 2  # AVIO_FLAG_WRITE
_FORMATS: Final = "hls,mpegts,mov,mp4,matroska,webm,flv,live_flv,ogg,aac,wav"
#: What a source is like is found out from its first second; the rate of pictures is nobody's business here.
_PROBING: Final = {"analyzeduration": "1000000", "fpsprobesize": "0"}
#: RTMP servers begin with the sound, and send pictures from their next key unit on.
_LIVE_PROBING: Final = _PROBING | {"analyzeduration": "5000000"}
_HLS: Final = {
    "http_persistent": "0",  # connections are our client's
    "http_multiple": "0",
    "extension_picky": "0",  # files of this host are out of reach anyway
    "allowed_extensions": "ALL",
    "allowed_segment_extensions": "ALL",
}


@dataclass(slots=True)
class Opened:
    container: InputContainer
    alignment: Live | Played


class Way(Protocol):
    """Used by one thread, but for `stop`."""

    def open(self) -> Opened:
        """Blocks. Raises `ReelyardError`s and libav's."""
        ...

    def trouble(self) -> str:
        """Why it did not go on, where more is known than libav says."""
        ...

    def is_complete(self) -> bool:
        """Whether a source that has come to its end was whole: nothing more is to be expected of it."""
        ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


class RelayWay:
    """RTMP and RTSP, over TCP."""

    def __init__(self, source: Source, relay: Relay) -> None:
        self._source = source
        self._relay = relay

    def open(self) -> Opened:
        plain = self._source.scheme.removesuffix("s")
        login = f"{self._source.login}@" if self._source.login else ""
        url = f"{plain}://{login}{LOOPBACK}:{self._relay.port}{self._source.target}"
        options = {"protocol_whitelist": f"{plain},tcp", "format_whitelist": "flv,live_flv,rtsp"} | _LIVE_PROBING
        if plain == "rtmp":
            application = application_of(self._source.target)
            options |= {"rtmp_live": "live", "rtmp_tcurl": f"{plain}://{self._source.authority}/{application}"}
        else:
            options |= {"rtsp_transport": "tcp"}
        form = "flv" if plain == "rtmp" else "rtsp"
        container = av.open(url, "r", format=form, options=options, timeout=(OPEN_S, LIVE_READ_S))
        return Opened(container, Live())

    def trouble(self) -> str:
        return "" if self._relay.why is None else self._relay.why.text

    def is_complete(self) -> bool:
        return False  # whoever publishes may come again

    def stop(self) -> None:
        self._relay.stop()

    def close(self) -> None:
        self._relay.stop()


def application_of(target: str) -> str:
    """An RTMP URL's application, as libav finds it: one or two steps of the path, of which the rest is the stream."""
    steps = target.partition("?")[0].lstrip("/").split("/")
    return "/".join(steps[: 2 if len(steps) > 2 else 1]) if len(steps) > 1 else ""


class WebWay:
    def __init__(self, source: Source, web: Web) -> None:
        self._source = source
        self._web = web
        self._complete = False

    def open(self) -> Opened:
        with within(OPEN_S):  # libav's own time is not looked at while our client reads
            return self._opened()

    def _opened(self) -> Opened:
        file = self._web.open(f"{self._source.scheme}://{self._source.authority}{self._source.target}")
        if file.content_type in playlists.TYPES or file.peek(len(playlists.MAGIC)) == playlists.MAGIC:
            return self._playlist(file)
        live = file.size is None
        options = {"format_whitelist": _FORMATS, "protocol_whitelist": "none"} | _PROBING
        self._web.read_s = LIVE_READ_S if live else PLAYED_READ_S
        container = av.open(file, "r", options=options, timeout=(OPEN_S, self._web.read_s), io_open=self._nested)
        self._complete = not live
        return Opened(container, Live() if live else Played())

    def _playlist(self, file: WebFile) -> Opened:
        first = _Named(playlists.narrowed(self._text(file)).encode(), file.url)
        options = {"format_whitelist": _FORMATS, "protocol_whitelist": "none"} | _HLS | _PROBING
        container = av.open(
            first, "r", format="hls", options=options, timeout=(OPEN_S, PLAYED_READ_S), io_open=self._nested
        )
        return Opened(container, Played())

    def _text(self, file: WebFile) -> str:
        """Of a playlist. Whether it will grow is noted."""
        text = bytearray()
        while piece := file.read(1 << 16):
            text += piece
            if len(text) > playlists.MOST_BYTES:
                raise self._refusal("the playlist is too long")
        file.close()
        found = text.decode(errors="replace")
        if len(found.splitlines()) > playlists.MOST_LINES:
            raise self._refusal("the playlist is too long")
        if "\0" in found:  # to libav that ends a line, to us it does not
            raise self._refusal("the playlist is not text")
        if playlists.encrypted(found):
            raise self._refusal("the segments are encrypted, which is not read")
        self._complete = playlists.ended(found)
        return found

    def _refusal(self, text: str) -> FetchRefused:
        self._web.trouble = text
        return FetchRefused(text)

    def _nested(self, url: str, flags: int, options: Mapping[str, str]) -> BinaryIO | WebFile:
        """What a playlist names: another one, or a segment, or a part of one."""
        if flags & _WRITES or not url.startswith(("http://", "https://")):
            raise self._refusal("it names what is neither http nor https")
        start, end = (options.get(name, "") for name in ("offset", "end_offset"))
        file = self._web.open(
            url,
            start=int(start) if start.isdigit() else 0,
            end=int(end) if end.isdigit() and int(end) > 0 else None,
            most_bytes=_MOST_SEGMENT_BYTES,
        )
        if file.peek(len(playlists.MAGIC)) != playlists.MAGIC:
            return file
        return _Named(playlists.listing(self._text(file)).encode(), file.url)

    def trouble(self) -> str:
        return self._web.trouble

    def is_complete(self) -> bool:
        return self._complete and not self._web.trouble

    def stop(self) -> None:
        self._web.stop()

    def close(self) -> None:
        self._web.close()


class _Named(io.BytesIO):
    """`name` is what libav resolves a playlist's entries by."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


class FileWay:
    """A file of this host, which only an operator may name."""

    def __init__(self, source: Source) -> None:
        self._path = Path(source.target)
        self._file: BinaryIO | None = None

    def open(self) -> Opened:
        try:
            self._file = self._path.open("rb")
        except OSError as error:
            raise FetchFailed(f"the file cannot be read: {error.strerror}") from error
        options = {"format_whitelist": _FORMATS.removeprefix("hls,"), "protocol_whitelist": "none"} | _PROBING
        return Opened(av.open(self._file, "r", options=options, timeout=OPEN_S, io_open=_nothing), Played())

    def trouble(self) -> str:
        return ""

    def is_complete(self) -> bool:
        return True

    def stop(self) -> None:
        """Reading a file does not hang for long."""

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _nothing(_url: str, _flags: int, _options: Mapping[str, str]) -> BinaryIO:
    raise FetchRefused("the file names others")


def in_words(error: Exception, way: Way) -> str:
    """Why a source cannot be read, without a word of its URL."""
    if isinstance(error, ReelyardError):
        return error.text
    if trouble := way.trouble():
        return trouble
    match error:
        case av.error.ExitError():
            return "it does not answer in time"
        case av.error.EOFError():
            return "it ends before it begins"
        case av.FFmpegError() if error.errno == errno.EIO:
            return "its connection broke"
        case av.FFmpegError():
            return f"libav says: {error.strerror}"
        case _:
            return type(error).__name__


__all__ = ["FileWay", "Opened", "RelayWay", "Way", "WebWay", "application_of", "in_words"]
