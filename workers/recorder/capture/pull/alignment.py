"""Where a source's own time stamps lie on the recorder's clock. Pure; seconds.

A live source is aligned by arrival: what takes least time on its way lies where it arrived. What is read ahead of its
time (files, HLS, whose segments come in bursts) is played: its first unit lies where it arrived, the others as far behind
it as they say. Sound and pictures of a source keep the distance that they have in it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from models.vocabulary.offset import Floor, Slewed

#: A live unit so much ahead of all others is of another time line (its sender began anew), and so is one so much behind.
AHEAD_S: Final = 1.0
BEHIND_S: Final = 10.0
#: Off by so much, a live source is set right at once instead of slowly: what it began with was held up on its way.
OFF_S: Final = 0.25
#: In its first moments it is still being found out how late it is.
SETTLING_S, SETTLING_OFF_S = 3.0, 0.01
#: Of what is played: so far from the newest unit it is of another time line.
JUMP_S: Final = 3.0
#: What is played and comes so late is played later from then on.
LATE_S: Final = 0.4
#: A new time line goes on so far behind the newest unit of the old one.
STEP_S: Final = 0.02


class Placed(NamedTuple):
    t: float
    broken: bool = False  # nobody knows how far it lies behind what came before


class Live:
    def __init__(self) -> None:
        self._floor = Floor()
        self._offset = Slewed()
        self._began: float | None = None

    def see(self, stamp_s: float, now: float) -> None:
        """A unit has arrived; where it lies is asked later."""
        self._began = now if self._began is None else self._began
        self._floor.see(now - stamp_s, now)

    def place(self, stream: int, stamp_s: float, now: float) -> Placed:
        late_s = 0.0 if self._floor.value is None else now - stamp_s - self._floor.value
        broken = not -AHEAD_S <= late_s <= BEHIND_S
        if broken:
            self._floor, self._offset, self._began = Floor(), Slewed(), None
        self.see(stamp_s, now)
        floor = self._floor.value
        assert floor is not None and self._began is not None
        most_s = SETTLING_OFF_S if now - self._began < SETTLING_S else OFF_S
        off = self._offset.value is not None and abs(floor - self._offset.value) > most_s
        offset = self._offset.step(floor, now) if off else self._offset.follow(floor, now)
        return Placed(stamp_s + offset, broken)


class Played:
    def __init__(self) -> None:
        self._offsets: dict[int, float] = {}  # by stream
        self._newest: float | None = None  # offset
        self._front = 0.0  # the furthest that a unit lies

    def place(self, stream: int, stamp_s: float, now: float) -> Placed:
        if self._newest is None:
            self._newest, self._front = now - stamp_s, now
        mine = self._offsets.get(stream, self._newest)
        fitting = [offset for offset in (mine, self._newest) if abs(stamp_s + offset - self._front) <= JUMP_S]
        broken = not fitting
        offset = fitting[0] if fitting else self._front + STEP_S - stamp_s
        late_s = now - (stamp_s + offset)
        if late_s > LATE_S:
            self._offsets = {other: at + late_s for other, at in self._offsets.items()}
            self._newest += late_s
            offset += late_s
        if broken:
            self._newest = offset
        self._offsets[stream] = offset
        self._front = max(self._front, stamp_s + offset)
        return Placed(stamp_s + offset, broken)
