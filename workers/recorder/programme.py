"""Mixer, encoders and slice writer as one: units and scenes in, closed slices out. Knows no clock: driven by calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from models.vocabulary.channel import Unit
from models.vocabulary.scene import Scene
from models.vocabulary.spec import RecordingSpec
from models.vocabulary.ticks import audio_frame_from, audio_tick, frame_at_or_after, frame_tick
from workers.recorder.mixer.audio import SOUND_AHEAD_90K
from workers.recorder.mixer.mixer import Mixer
from workers.recorder.mixer.tile import Picture
from workers.recorder.segment.encoding import POST_AUDIO_FRAMES, PRESET, THRIFTY, Coded, Encode, reorder_frames
from workers.recorder.segment.interleave import Interleave
from workers.recorder.segment.slices import OnSlice, Slices

#: How far behind a piece's end its sound reaches: units up to there should be pushed before `finish`.
TAIL_90K = audio_tick(POST_AUDIO_FRAMES + 1) + SOUND_AHEAD_90K
#: So much is made at a time, s. Longer saves more, but is lost with a killed recorder: with this its hole keeps the bound of 3 s.
BATCH_S: Final = 0.27


@dataclass(frozen=True, slots=True)
class ProgrammeStats:
    frames: int = 0  # pictures encoded
    decoded: int = 0  # pictures decoded
    dropped: int = 0  # units of no use: corrupt, before a key unit, one too many
    late: int = 0  # units that came after what they belong to was made
    thrifty: int = 0  # pictures encoded with less care, for lack of time


class Programme:
    """One tenure's range of one recording, from `first_90k` on (it may lie mid-slot; with pictures, it is the next frame's).

    Calls come in this order of time: `push` everything before a tick, then `advance` to it. `warm_frames` pictures
    before the first are drawn, encoded and dropped, for a successor's rate control; units and scenes for them, and a
    second of sound before `first_90k`, should be pushed first. `on_slice` is called with each slice as it is renamed to
    `folder / name(start_90k)`. `advance` and `finish` may raise `DiskFull`; then only `abort` may follow.
    """

    def __init__(
        self,
        spec: RecordingSpec,
        folder: Path,
        *,
        first_90k: int,
        name: Callable[[int], str],
        on_slice: OnSlice,
        on_warning: Callable[[str], None],
        want_key: Callable[[str], None],
        warm_frames: int = 0,
    ) -> None:
        self._spec, self._fps = spec, spec.video.fps
        self._encode = Encode(spec, first_90k, warm_frames=warm_frames)
        self.first_90k = self._encode.first_90k
        self._mixer = Mixer(spec, self._encode.next_audio, on_warning, want_key)
        interleave: Interleave[Coded] = Interleave(
            self.first_90k,
            spec.slice_s,
            self._fps if spec.has_video else None,
            audio=spec.has_audio,
            ahead_90k=frame_tick(reorder_frames(self._fps) + 1, self._fps) + audio_tick(2),
        )
        self._slices = Slices(interleave, lambda: (self._encode.video, self._encode.audio), folder, name, on_slice)
        self._preset = self._encode.preset
        self._thrifty_frames = 0
        self._position_90k = self._decided_90k = self.first_90k
        self._batch_frames = max(1, round(BATCH_S * self._fps))
        self._batch_90k = frame_tick(self._batch_frames, self._fps)

    @property
    def position_90k(self) -> int:
        """All that lies before it is drawn; the encoders and the open slice may still hold the last second of it."""
        return self._position_90k

    @property
    def slice_start_90k(self) -> int | None:
        """Where the slice begins that was last opened: its `.part` is `name(slice_start_90k)`."""
        return self._slices.start_90k

    @property
    def stats(self) -> ProgrammeStats:
        counts = self._mixer.counts()
        frames = max(0, self._encode.next_frame - self._encode.first_frame) if self._spec.has_video else 0
        return ProgrammeStats(frames, counts.decoded, counts.dropped, counts.late, self._thrifty_frames)

    def push(self, unit: Unit, at_90k: int) -> None:
        self._mixer.push(unit, at_90k)

    def show(self, scene: Scene) -> None:
        """Draw so from the next frame on."""
        self._make()
        self._mixer.show(scene)

    def image(self, ref: str, picture: Picture) -> None:
        """An image that scenes may name from now on."""
        self._make()
        self._mixer.image(ref, picture)

    def hurry(self, hurry: bool) -> None:
        """Encode pictures with less care, or with all care again, from the next slot's edge on."""
        self._preset = THRIFTY if hurry else PRESET

    def advance(self, to_90k: int) -> None:
        """Frames whose tick lies before `to_90k`, and the sound that units before it decide, may be made now.

        They are made a few at a time (`BATCH_S`): that costs less.
        """
        self._decided_90k = max(self._decided_90k, to_90k)
        if self._decided_90k - self._made_90k() >= self._batch_90k:
            self._make()

    def finish(self, end_90k: int) -> int:
        """Make what is missing before `end_90k` (with pictures: the next frame's tick), close the last slice there.

        Answers the true end: never before what has been made. The sound behind the end that units have brought is
        used to end as a continuous encoder would.
        """
        self.advance(end_90k)
        self._make()
        end_90k = max(end_90k, self.first_90k)
        if self._spec.has_video:
            end_90k = frame_tick(self._encode.next_frame, self._fps)
        else:
            end_90k = max(end_90k, self._position_90k)
        behind = self._heard(audio_frame_from(end_90k) + POST_AUDIO_FRAMES) if self._spec.has_audio else ()
        self._position_90k = self._slices.finish(end_90k, chain(behind, self._encode.flush()))
        self._close()
        return self._position_90k

    def abort(self) -> None:
        """Let go of everything; the open slice's `.part` stays with what it holds."""
        try:
            self._slices.abort()
        finally:
            self._close()

    def _close(self) -> None:
        self._mixer.close()
        self._encode.close()

    def _make(self) -> None:
        """All that is decided and not yet made."""
        to_90k = self._decided_90k
        self._sounds(self._audio_decided(to_90k))
        if self._spec.has_video:
            self._pictures(frame_at_or_after(to_90k, self._fps))
        self._position_90k = max(self._position_90k, self._made_90k())

    def _pictures(self, end: int) -> None:
        while (first := self._encode.next_frame) < end:
            for frame in self._mixer.pictures(first, min(end, first + self._batch_frames)):
                if self._preset != self._encode.preset and self._encode.at_edge:
                    self._slices.write(self._encode.change_preset(self._preset))
                self._thrifty_frames += self._encode.preset == THRIFTY
                self._slices.write(self._encode.picture(frame))

    def _sounds(self, end: int) -> None:
        if self._spec.has_audio:
            self._slices.write(self._heard(end))

    def _heard(self, end: int) -> Iterator[Coded]:
        """AAC frames before `end`: a batch is decoded and added up at a time."""
        while self._encode.next_audio < end:
            self._mixer.hear(end)
            yield from self._encode.sound(self._mixer.sound(self._encode.next_audio))

    def _audio_decided(self, to_90k: int) -> int:
        """The first AAC frame that units at or after a tick may still have a part in."""
        return audio_frame_from(to_90k - SOUND_AHEAD_90K + 1) - 1

    def _made_90k(self) -> int:
        if self._spec.has_video:
            return frame_tick(self._encode.next_frame, self._fps)
        return audio_tick(self._encode.next_audio)
