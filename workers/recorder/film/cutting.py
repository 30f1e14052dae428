"""Where each frame of a film stands: the recording's grid with its holes cut out. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from models.vocabulary.ticks import AAC_TICKS, audio_frame_from, audio_tick, frame_at_or_after, frame_tick

#: In place of the first AAC frame behind a cut, which holds half of what is gone: so many silent ones.
MOST_MUTES = 2


@dataclass(frozen=True, slots=True)
class Place:
    """Of a shot: picture n of the recording is the film's n - `pictures_back`, AAC frame j its j - `sounds_back`.

    `mutes`: None where the shot goes on from the one before. Behind a cut its first AAC frame is left out and so many
    silent ones stand instead, from 0 to 2, whatever keeps sound within half an AAC frame of the picture.
    """

    pictures_back: int
    sounds_back: int
    mutes: int | None = None


class Grid:
    """Gives shots their places, in time order."""

    def __init__(self, fps: int | None) -> None:
        self._fps = fps  # None: there is no picture
        self._end_90k: int | None = None
        self._length_90k = 0  # of the film so far
        self._lead_90k = 0
        self._place = Place(0, 0)

    @property
    def length_90k(self) -> int:
        return self._length_90k

    @property
    def lead_90k(self) -> int:
        """So long after the film's beginning its first AAC frame begins: less than one of them."""
        return self._lead_90k

    def place(self, start_90k: int, end_90k: int) -> Place:
        if self._end_90k is None:
            self._lead_90k = audio_tick(audio_frame_from(start_90k)) - start_90k
            self._place = Place(self._picture(start_90k), audio_frame_from(start_90k))
        elif self._end_90k != start_90k:
            self._place = self._behind_cut(self._end_90k, start_90k)
        else:
            self._place = Place(self._place.pictures_back, self._place.sounds_back)
        self._end_90k = end_90k
        self._length_90k = self._at(end_90k, start_90k)
        return self._place

    def _behind_cut(self, end_90k: int, start_90k: int) -> Place:
        next_sound = audio_frame_from(end_90k) - self._place.sounds_back
        second = audio_frame_from(start_90k) + 1
        second_at_90k = self._length_90k + audio_tick(second) - start_90k - self._lead_90k
        mutes = min(max(0, round(second_at_90k / AAC_TICKS) - next_sound), MOST_MUTES)
        pictures = self._place.pictures_back + self._picture(start_90k) - self._picture(end_90k)
        return Place(pictures, second - (next_sound + mutes), mutes)

    def _at(self, end_90k: int, start_90k: int) -> int:
        if self._fps is None:
            return self._length_90k + end_90k - start_90k
        return frame_tick(self._picture(end_90k) - self._place.pictures_back, self._fps)

    def _picture(self, tick_90k: int) -> int:
        return 0 if self._fps is None else frame_at_or_after(tick_90k, self._fps)
