"""The writer of slices: one mpegts container a slot, `.part` while it grows, renamed when whole."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from models.vocabulary.errors import DiskFull
from models.vocabulary.streams import MIX
from workers.recorder.segment.encoding import Coded
from workers.recorder.segment.interleave import Interleave, Piece

PART: Final = ".part"
#: Why a slice was lost, as its hole says it.
FULL: Final = "the disk was full"

#: One file a slot: continuity counters restart, so each begins discontinuous; our PTS stand as they are; and each
#: packet reaches the file at once, for a killed recorder's file is all that is left of its slot.
_MPEGTS: Final = {
    "mpegts_flags": "initial_discontinuity",
    # A piece says how long it is, so that a torn file's last one can be told from a whole one.
    "omit_video_pes_length": "0",
    "mpegts_copyts": "1",
    "avoid_negative_ts": "disabled",
    "flush_packets": "1",
}
#: Of pictures with sound: the muxer hands on what it is given in our order, instead of keeping it until it has both media.
_BOTH: Final = {"max_interleave_delta": "1"}
#: Of one stream, by the file's suffix. WebM is written as if to a pipe: whole without a last word, times to the millisecond.
_FORMATS: Final = {".webm": ("webm", {"live": "1", "avoid_negative_ts": "disabled", "flush_packets": "1"})}


@dataclass(frozen=True, slots=True)
class ClosedSlice:
    """A slice under its final name. Its bytes never change; they are not fsynced yet. Or one that was `lost`."""

    start_90k: int
    end_90k: int
    path: Path
    bytes: int
    md5: str  # hex
    track: str = MIX
    shape: str = ""  # of a single sender's pictures: str(streams.Shape)
    lost: str = ""  # why nothing of it is on the disk: it is a hole


OnSlice = Callable[[ClosedSlice], None]
#: The encoders' streams, asked for as each file is opened: an encoder may be replaced at an edge.
Templates = Callable[[], tuple[VideoStream | None, AudioStream | None]]


class HashedFile:
    """What libav writes into: unbuffered, counts and hashes on the way. Not seekable, as mpegts needs no seeking.

    libav does not hand every exception of a callback on, so the first is kept; what comes behind it is nobody's.
    """

    def __init__(self, path: Path) -> None:
        self.error: OSError | None = None
        self._file = path.open("wb", buffering=0)
        self._md5 = hashlib.md5(usedforsecurity=False)  # the stores' checksum, no secret hangs on it
        self.bytes = 0

    def write(self, block: bytes) -> int:
        rest = memoryview(b"" if self.error else block)
        try:
            self._write(rest)
        except OSError as error:
            self.error = error
            raise
        return len(block)

    def _write(self, rest: memoryview) -> None:
        while rest:
            written = self._file.write(rest)
            self._md5.update(rest[:written])
            self.bytes += written
            rest = rest[written:]

    def close(self) -> None:
        self._file.close()

    @property
    def md5(self) -> str:
        return self._md5.hexdigest()


class Part:
    """One file while it grows, beside `path` with a suffix; templates are streams whose parameters it copies.

    mpegts, but for a `.webm`.
    """

    def __init__(self, path: Path, video: VideoStream | None, audio: AudioStream | None, *, suffix: str = PART) -> None:
        self.path, self.part = path, path.with_name(path.name + suffix)
        try:
            self._file = HashedFile(self.part)
        except OSError as error:
            raise _translated(error) from error
        form, options = _FORMATS.get(path.suffix, ("mpegts", _MPEGTS))
        if video is not None and audio is not None:
            options = options | _BOTH
        with self._disk():
            self._container = av.open(self._file, "w", format=form, options=options)
            # opaque: libav has no encoder of the decoder's name for AV1, nor needs one to copy.
            self._video = None if video is None else self._container.add_stream_from_template(video, opaque=True)
            self._audio = None if audio is None else self._container.add_stream_from_template(audio)

    def mux(self, coded: Coded) -> None:
        stream = self._video if coded.video else self._audio
        assert stream is not None
        coded.packet.stream = stream
        with self._disk():
            self._container.mux(coded.packet)

    def close(self, start_90k: int, end_90k: int) -> ClosedSlice:
        with self._disk():
            self._end()
            self.part.rename(self.path)
        return ClosedSlice(start_90k, end_90k, self.path, self._file.bytes, self._file.md5)

    def discard(self) -> None:
        """Nothing of it stays: on a full disk half a slice is in everybody's way."""
        with suppress(OSError, av.FFmpegError):
            self._end()
        self.part.unlink(missing_ok=True)

    def leave(self) -> None:
        """Close the file as it is and keep its `.part`: `recovery` reads what it holds."""
        with suppress(OSError, av.FFmpegError):  # the disk that is full is why we leave; what it holds, it holds
            self._end()

    def _end(self) -> None:
        try:
            self._container.close()
        finally:
            self._file.close()

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except (OSError, av.FFmpegError) as error:
            raise _translated(self._file.error or error) from error
        if self._file.error is not None:
            raise _translated(self._file.error)


def _translated(error: Exception) -> Exception:
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return DiskFull() if full else error


class Slices:
    """Coded frames in; closes a slice with its last frame and hands it on. One that finds the disk full is handed on as
    lost; the next one is tried like any other.
    """

    def __init__(
        self,
        interleave: Interleave[Coded],
        templates: Templates,
        folder: Path,
        name: Callable[[int], str],
        on_slice: OnSlice,
    ) -> None:
        self._interleave, self._templates = interleave, templates
        self._folder, self._name, self._on_slice = folder, name, on_slice
        self._part: Part | None = None
        self._lost = False  # the disk was full under the slice at hand
        self.start_90k: int | None = None  # of the slice that is being written

    def write(self, frames: Iterable[Coded]) -> None:
        for frame in frames:
            self._interleave.add(frame)
        for piece, frame, last in self._interleave.ready():
            self._put(piece, frame)
            if last:
                self._close(piece)

    def finish(self, end_90k: int, tail: Iterable[Coded]) -> int:
        """`tail` is all that is still missing before `end_90k`; the last slice is closed there.

        Answers where the slices end: an AAC frame or less before `end_90k` when nothing starts between.
        """
        self._interleave.finish(end_90k)
        self.write(tail)
        if (self._part is not None or self._lost) and self._interleave.owed == 0:
            self._close(self._interleave.piece)  # all of it had been written before the end was known
            return self._interleave.piece.end_90k
        assert self._part is None, "the encoders owe frames of the last slice"
        return self._interleave.piece.start_90k

    def abort(self) -> None:
        if self._part is not None:
            part, self._part = self._part, None
            part.leave()

    def _put(self, piece: Piece, frame: Coded) -> None:
        if self._lost:
            return
        try:
            if self._part is None:
                self.start_90k = piece.start_90k
                self._part = Part(self._path(piece), *self._templates())
            self._part.mux(frame)
        except DiskFull:
            self._lose()

    def _close(self, piece: Piece) -> None:
        closed = None
        if self._part is not None:
            try:
                closed = self._part.close(piece.start_90k, piece.end_90k)
            except DiskFull:
                self._lose()
        self._part, self._lost = None, False
        self._on_slice(closed or ClosedSlice(piece.start_90k, piece.end_90k, self._path(piece), 0, "", lost=FULL))

    def _lose(self) -> None:
        self._lost = True
        if self._part is not None:
            part, self._part = self._part, None
            part.discard()

    def _path(self, piece: Piece) -> Path:
        return self._folder / self._name(piece.start_90k)
