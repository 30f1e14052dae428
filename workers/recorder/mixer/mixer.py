"""Units and scenes in; the picture of each frame and the samples of each AAC frame out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from av.video.frame import VideoFrame

from models.vocabulary.channel import Unit
from models.vocabulary.scene import ItemKind, Scene
from models.vocabulary.spec import RecordingSpec
from models.vocabulary.ticks import TICKS_PER_S, audio_tick, frame_tick
from workers.recorder.mixer.audio import Sound
from workers.recorder.mixer.canvas import Canvas
from workers.recorder.mixer.decoding import OnWarning, VideoCounts, VideoTrack, WantKey
from workers.recorder.mixer.geometry import canvas_size
from workers.recorder.mixer.planes import Samples
from workers.recorder.mixer.tile import Picture

_VIDEO_CODECS: Final = ("h264", "vp8", "vp9", "av1")
#: A track that is not in the scene and silent for so long is closed; should it speak again, it begins anew.
_FORGET_90K: Final = 60 * TICKS_PER_S


@dataclass(frozen=True, slots=True)
class MixCounts:
    decoded: int = 0  # pictures
    dropped: int = 0  # units of either medium that could not be used
    late: int = 0  # units that came after what they belong to was made


class Mixer:
    """`push` in any order of tracks; frames and AAC frames are asked for in order, each once.

    `on_warning` gets a sentence for the record, `want_key` the id of a track that needs a key unit to be seen.
    Never raises on what a unit contains.
    """

    def __init__(self, spec: RecordingSpec, first_audio: int, on_warning: OnWarning, want_key: WantKey) -> None:
        self._fps = spec.video.fps
        self._canvas = Canvas(*canvas_size(spec.video)) if spec.has_video else None
        self._sound = Sound(spec.audio.channels, first_audio, on_warning) if spec.has_audio else None
        self._tracks: dict[str, VideoTrack] = {}
        self._images: dict[str, Picture] = {}
        self._seen: dict[str, int | None] = {}  # tracks of the scene, and until when units of it are shown
        self._gone = VideoCounts()
        self._on_warning, self._want_key = on_warning, want_key

    def push(self, unit: Unit, at_90k: int) -> None:
        """What the recording has no use for (pictures of an audio recording, say) is passed over."""
        if unit.codec in _VIDEO_CODECS:
            if self._canvas is not None:
                self._track(unit.track).push(unit, at_90k)
        elif self._sound is not None:
            self._sound.push(unit, at_90k)

    def image(self, ref: str, picture: Picture) -> None:
        """An image that scenes may name from now on."""
        self._images[ref] = picture

    def show(self, scene: Scene) -> None:
        if self._canvas is not None:
            self._canvas.show(scene)
            self._seen = _seen(scene)

    def pictures(self, first: int, end: int) -> Iterator[VideoFrame]:
        """Frames [first, end) of one scene: each track's newest unit not later than the frame's tick. Each is valid until the next.

        All that they show is decoded and scaled before the first is drawn, track by track: several frames at a time
        cost less than one by one, since a decoder's and the encoder's memory stays in the caches.
        """
        assert self._canvas is not None, "this recording has no picture"
        for track_id, until_90k in self._seen.items():
            track = self._track(track_id)
            for n in range(first, end):
                tick_90k = frame_tick(n, self._fps)
                if until_90k is None or tick_90k <= until_90k:
                    track.advance(tick_90k)
                else:
                    track.hold(until_90k)
                self._canvas.foresee(track_id, track.picture)
        for n in range(first, end):
            if n % self._fps == 0:
                self._tidy(frame_tick(n, self._fps))
            yield self._canvas.paint(self._newest)

    def picture(self, n: int) -> VideoFrame:
        """Frame `n` alone."""
        return next(self.pictures(n, n + 1))

    def hear(self, end: int) -> None:
        """Decode what AAC frames before `end` sound like, track by track: cheaper than frame by frame."""
        assert self._sound is not None, "this recording has no sound"
        self._sound.decode(end)

    def sound(self, j: int) -> Samples:
        """AAC frame `j`: (channels, 1024) floats in (-1, 1)."""
        assert self._sound is not None, "this recording has no sound"
        if j % 47 == 0:  # once a second
            self._sound.forget_silent(audio_tick(j) - _FORGET_90K)
        return self._sound.frame(j)

    def counts(self) -> MixCounts:
        total = VideoCounts(self._gone.decoded, self._gone.dropped, self._gone.late)
        for track in self._tracks.values():
            _add(total, track.counts)
        heard = self._sound.counts() if self._sound is not None else None
        if heard is None:
            return MixCounts(total.decoded, total.dropped, total.late)
        return MixCounts(total.decoded, total.dropped + heard.dropped, total.late + heard.late)

    def close(self) -> None:
        for track in self._tracks.values():
            _add(self._gone, track.counts)
            track.close()
        self._tracks.clear()

    def _newest(self, ref: str) -> Picture | None:
        image = self._images.get(ref)
        return self._track(ref).picture if image is None else image

    def _track(self, track_id: str) -> VideoTrack:
        track = self._tracks.get(track_id)
        if track is None:
            track = self._tracks[track_id] = VideoTrack(track_id, self._on_warning, self._want_key)
        return track

    def _tidy(self, tick_90k: int) -> None:
        """Once a second: tracks that nobody sees move keep only what they need to come back."""
        for track_id, track in list(self._tracks.items()):
            until_90k = self._seen.get(track_id, 0)
            if until_90k is None or tick_90k <= until_90k:
                continue
            track.skim(tick_90k)
            if track_id not in self._seen and track.last_unit_90k < tick_90k - _FORGET_90K:
                del self._tracks[track_id]
                _add(self._gone, track.counts)
                track.close()


def _seen(scene: Scene) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for item in scene.items:
        if item.kind is ItemKind.SOURCE:
            before = found.get(item.ref, 0)
            either = before is None or item.until_90k is None
            found[item.ref] = None if either else max(before or 0, item.until_90k or 0)
    return found


def _add(total: VideoCounts, counts: VideoCounts) -> None:
    total.decoded += counts.decoded
    total.dropped += counts.dropped
    total.late += counts.late
