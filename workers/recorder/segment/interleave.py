"""In which order coded frames of both media go into which slice. Pure: no libav, no files."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from models.vocabulary.ticks import TICKS_PER_S, audio_frame_from, frame_at_or_after, slot_end_after


class Medium(Protocol):
    """Anything with a place on the timeline: an encoded frame."""

    @property
    def video(self) -> bool: ...
    @property
    def dts_90k(self) -> int: ...


M = TypeVar("M", bound=Medium)


@dataclass(frozen=True, slots=True)
class Piece:
    """A slice's range and how many frames of each medium it owns: a frame belongs where it starts."""

    start_90k: int
    end_90k: int
    pictures: int
    sounds: int

    @property
    def frames(self) -> int:
        return self.pictures + self.sounds


def piece(start_90k: int, end_90k: int, fps: int | None, *, audio: bool) -> Piece:
    """`fps` None: there is no picture."""
    pictures = 0 if fps is None else frame_at_or_after(end_90k, fps) - frame_at_or_after(start_90k, fps)
    sounds = audio_frame_from(end_90k) - audio_frame_from(start_90k) if audio else 0
    return Piece(start_90k, end_90k, pictures, sounds)


class Interleave(Generic[M]):
    """Merges both media by DTS inside each slot, whole slots one after the other.

    The encoders look ahead by different lengths, so a frame waits until the other medium has come as far;
    within a slot's range that bounds both queues by the encoders' delay. Sound goes `ahead_90k` before pictures of its time:
    a picture is of use in a torn file only with the sound of its whole length. So nothing behind an end is added before `finish`.
    """

    def __init__(self, first_90k: int, slice_s: int, fps: int | None, *, audio: bool, ahead_90k: int = 0) -> None:
        self._slice_s, self._fps, self._audio = slice_s, fps, audio
        self._ahead_90k = ahead_90k
        self._next_dts_90k: int | None = None  # no picture that is still to come lies before it
        self._pictures: deque[M] = deque()
        self._sounds: deque[M] = deque()
        self._start_90k = first_90k
        self._end_90k: int | None = None  # where the recording ends, once known
        self.piece = self._next_piece()
        self._left = [self.piece.sounds, self.piece.pictures]

    def add(self, frame: M) -> None:
        (self._pictures if frame.video else self._sounds).append(frame)

    def finish(self, end_90k: int) -> None:
        """Nothing at or after `end_90k` is wanted; everything before it comes."""
        self._end_90k = end_90k
        before = self.piece
        self.piece = self._next_piece()
        self._left[0] += self.piece.sounds - before.sounds
        self._left[1] += self.piece.pictures - before.pictures

    def ready(self) -> Iterator[tuple[Piece, M, bool]]:
        """(its piece, frame, whether it is the piece's last) for all that has its place by now."""
        while (frame := self._pop()) is not None:
            self._left[frame.video] -= 1
            last, mine = self._left == [0, 0], self.piece
            if last:
                self._advance()
            yield mine, frame, last

    @property
    def owed(self) -> int:
        """How many frames the piece at hand still lacks."""
        return sum(self._left)

    def _advance(self) -> None:
        self._start_90k = self.piece.end_90k
        self.piece = self._next_piece()
        self._left = [self.piece.sounds, self.piece.pictures]

    def _next_piece(self) -> Piece:
        start = self._start_90k
        end = slot_end_after(start, self._slice_s)
        if self._fps is None and audio_frame_from(end) == audio_frame_from(start):
            end = slot_end_after(end, self._slice_s)  # no frame starts in the slot's last 21 ms: they go with the next
        if self._end_90k is not None:
            end = max(start, min(end, self._end_90k))
        return piece(start, end, self._fps, audio=self._audio)

    def _pop(self) -> M | None:
        sounds_left, pictures_left = self._left
        sound = self._sounds[0] if sounds_left and self._sounds else None
        picture = self._pictures[0] if pictures_left and self._pictures else None
        if sound is None:
            if sounds_left or picture is None:
                return None  # the sound that is behind could still have the earlier frame
        elif not pictures_left or self._goes_first(sound, picture):
            return self._sounds.popleft()
        elif picture is None:
            return None
        self._next_dts_90k = picture.dts_90k + TICKS_PER_S // (self._fps or TICKS_PER_S)
        return self._pictures.popleft()

    def _goes_first(self, sound: M, picture: M | None) -> bool:
        before_90k = self._next_dts_90k if picture is None else picture.dts_90k
        if before_90k is None or before_90k < self.piece.start_90k:
            return False  # a piece begins with its picture
        return sound.dts_90k <= before_90k + self._ahead_90k
