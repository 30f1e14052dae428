"""The writer of films: slices in, one MP4 out, packets copied (recording-clock.md, "MP4")."""

from __future__ import annotations

import errno
import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, cast

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from models.vocabulary.errors import DiskFull, StorageError
from models.vocabulary.film import Shot
from models.vocabulary.spec import RecordingSpec
from models.vocabulary.ticks import AAC_SAMPLES, AAC_TICKS, LEAD_90K, SAMPLE_RATE, TICKS_PER_S, frame_tick, sample_at
from workers.recorder.film.cutting import Grid, Place
from workers.recorder.film.splice import WARM, splice

#: Without negative offsets the picture would start two frames late; the index goes in front, for players that stream.
_MOVFLAGS: Final = "faststart+negative_cts_offsets"
_TICK: Final = Fraction(1, TICKS_PER_S)
_SAMPLE: Final = Fraction(1, SAMPLE_RATE)
_WRAP: Final = 1 << 33
PART: Final = ".making"

#: Where a shot's file is; None: nobody has it any more.
Fetch = Callable[[Shot], Path | None]


@dataclass(frozen=True, slots=True)
class FilmFile:
    path: Path
    bytes: int
    md5: str  # hex
    duration_90k: int
    missing: tuple[Shot, ...]  # of what was to be in it


def make(
    shots: Sequence[Shot],
    out: Path,
    spec: RecordingSpec,
    fetch: Fetch,
    *,
    rest: Callable[[], None],
    begun: Reel | None = None,
) -> FilmFile | None:
    """Write shots, in time order, as the film `out`; None when not one of them is to be had. A reel that was `begun` holds
    the first of them, but for some that could not be had: where one can by now, all is made anew.

    `rest` is called after each shot, so that whoever shares the machine gets on. Raises `DiskFull`, or `StorageError`
    when what was written is not what was given: libav does not tell every failed write.
    """
    missing: list[Shot] = []
    reel = begun or Reel(out.with_name(out.name + PART), spec)
    done = {shot.key for shot in reel.shots}
    try:
        for shot in shots:
            if shot.key in done:
                continue
            path = fetch(shot)
            if path is None:
                missing.append(shot)
                continue
            if reel.shots and shot.start_90k < reel.shots[-1].start_90k:
                return make(shots, out, spec, fetch, rest=rest)
            reel.add(shot, path)
            rest()
        if not reel.close(out):
            return None
    finally:
        reel.leave()
    with out.open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return FilmFile(out, out.stat().st_size, md5, reel.length_90k, tuple(missing))


@contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, av.FFmpegError) as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull from error
        raise StorageError(f"{name} could not be made: {type(error).__name__}") from error


class Reel:
    """A film that grows by shots, in a file of its own until it is whole. After an error only `leave` is left to do."""

    def __init__(self, path: Path, spec: RecordingSpec) -> None:
        self._path = path
        self._spec = spec
        self._fps = spec.video.fps
        self._grid = Grid(spec.video.fps if spec.has_video else None)
        self._container: Any = None
        self._video: VideoStream | None = None
        self._audio: AudioStream | None = None
        self._last: deque[bytes] = deque(maxlen=WARM)  # sound of the shots before, as it was
        self._held: tuple[int, bytes] | None = None  # the newest AAC frame: a cut behind it changes it
        self._written = {True: 0, False: 0}
        self.shots: list[Shot] = []  # that are on it

    @property
    def length_90k(self) -> int:
        return self._grid.length_90k

    def add(self, shot: Shot, path: Path) -> None:
        """The next one. Raises as `make` does."""
        with _told(self._path.name):
            self._add(shot, path)
        self.shots.append(shot)

    def _add(self, shot: Shot, path: Path) -> None:
        place = self._grid.place(shot.start_90k, shot.end_90k)
        with av.open(str(path)) as source:
            video = source.streams.video[0] if self._spec.has_video else None
            audio = source.streams.audio[0] if self._spec.has_audio and source.streams.audio else None
            self._open(video, audio)
            sounds: list[tuple[int, bytes]] = []
            for packet in source.demux([s for s in (video, audio) if s is not None]):
                if packet.pts is None:
                    continue
                if packet.stream is video:
                    self._picture(packet, shot, place)
                else:
                    sounds.append((round(_unwrapped(packet.pts, shot.start_90k) / AAC_TICKS), bytes(packet)))
        self._sounds(sounds, place)

    def _open(self, video: VideoStream | None, audio: AudioStream | None) -> None:
        if self._container is not None:
            return
        options = {
            "movflags": _MOVFLAGS,
            "video_track_timescale": str(TICKS_PER_S),
            "movie_timescale": str(TICKS_PER_S),
        }
        self._container = av.open(str(self._path), "w", format="mp4", options=options)
        if video is not None:
            self._video = self._container.add_stream_from_template(video)
            self._video.time_base = _TICK
        if audio is not None:
            self._audio = self._container.add_stream_from_template(audio)
            self._audio.time_base = _SAMPLE

    def _picture(self, packet: Packet[Any], shot: Shot, place: Place) -> None:
        n = round(_unwrapped(packet.pts, shot.start_90k) * self._fps / TICKS_PER_S) - place.pictures_back
        coding = round(_unwrapped(packet.dts, shot.start_90k) * self._fps / TICKS_PER_S) - place.pictures_back
        packet.time_base = _TICK
        packet.pts, packet.dts = frame_tick(n, self._fps), frame_tick(coding, self._fps)
        packet.duration = frame_tick(n + 1, self._fps) - packet.pts
        self._mux(packet, self._video)

    def _sounds(self, sounds: list[tuple[int, bytes]], place: Place) -> None:
        if place.mutes is not None and sounds:
            self._behind_cut(sounds, place.mutes)
        for j, frame in sounds:
            self._release()
            self._held = (j - place.sounds_back, frame)
            self._last.append(frame)

    def _behind_cut(self, sounds: list[tuple[int, bytes]], mutes: int) -> None:
        """The held frame and the first of `sounds` give way to what `splice` makes of them."""
        made = None
        if self._held is not None:
            audio = self._spec.audio
            after = [frame for _, frame in sounds[:WARM]]
            made = splice(list(self._last), after, mutes, channels=audio.channels, bps=audio.bitrate_bps)
        if made is not None and self._held is not None:
            at, self._held = self._held[0], None
            for i, frame in enumerate(made):
                self._sound(at + i, frame)
            sounds.pop(0)
        elif mutes == 0:
            sounds.pop(0)
        self._last.clear()

    def _release(self) -> None:
        if self._held is not None:
            self._sound(*self._held)
            self._held = None

    def _sound(self, j: int, frame: bytes) -> None:
        packet: Packet[Any] = Packet(frame)
        packet.time_base = _SAMPLE
        packet.pts = packet.dts = j * AAC_SAMPLES + sample_at(self._grid.lead_90k)
        packet.duration = AAC_SAMPLES
        packet.is_keyframe = True
        self._mux(packet, self._audio)

    def _mux(self, packet: Packet[Any], stream: Stream | None) -> None:
        assert stream is not None
        packet.stream = stream
        self._container.mux(packet)
        self._written[stream is self._video] += 1

    def close(self, out: Path) -> bool:
        """It is whole, and `out` from now on. False: there is nothing on it."""
        if self._container is None:
            return False
        with _told(out.name):
            self._release()
            container, self._container = self._container, None
            container.close()
            with av.open(str(self._path)) as made:
                found = {True: _frames(made, "video"), False: _frames(made, "audio")}
        if found != self._written:
            raise StorageError(f"{out.name}: the file does not hold what was written to it")
        self._path.rename(out)
        return True

    def leave(self) -> None:
        """Of what is not whole nothing stays."""
        self._path.unlink(missing_ok=True)  # first: libav finds nothing to move its index to the front of
        if self._container is not None:
            container, self._container = self._container, None
            with suppress(OSError, av.FFmpegError):
                container.close()


def _frames(made: InputContainer, kind: str) -> int:
    return sum(stream.frames for stream in made.streams if stream.type == kind)


def _unwrapped(pts: int | None, near_90k: int) -> int:
    tick = cast(int, pts) - LEAD_90K
    return near_90k + (tick - near_90k + _WRAP // 2) % _WRAP - _WRAP // 2
