"""Work ahead: of the film that will be ordered next, what is known of it is on a reel already, so that little is left to do
once the recording stops. Whatever goes wrong here costs nothing but that lead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from models.vocabulary import pipe
from models.vocabulary.errors import DiskFull, StorageError, StoreUnavailable
from models.vocabulary.film import Shot
from models.vocabulary.spec import RecordingSpec
from workers.recorder.film.film import Fetch, Reel


class Ahead:
    """`path`: where the reel lies. `room`: whether the disk has any to spare; slices come first."""

    def __init__(self, path: Path, spec: RecordingSpec, room: Callable[[], bool]) -> None:
        self._path = path
        self._spec = spec
        self._room = room
        self._told: list[Shot] = []
        self._tried = 0  # so many of them are on the reel, or nobody has them
        self._reel: Reel | None = None
        self._given_up = True  # until a film is begun

    def told(self, rushes: pipe.Rushes) -> None:
        """More of the film; or, with `n` 0, all that is known of another one."""
        if rushes.n == 0:
            self.drop()
            self._given_up = False
        if rushes.n == len(self._told):
            self._told += rushes.shots

    def work(self, fetch: Fetch, rest: Callable[[], None]) -> None:
        """Blocks. A store that does not answer is asked again when more is told; what nobody has is left out."""
        if self._given_up:
            return
        if not self._room():
            self.drop()
            return
        reel = self._reel = self._reel or Reel(self._path, self._spec)
        for shot in self._told[self._tried :]:
            try:
                path = fetch(shot)
            except StoreUnavailable:
                return
            except DiskFull:
                self.drop()
                return
            if path is not None:
                try:
                    reel.add(shot, path)
                except (DiskFull, StorageError):
                    self.drop()
                    return
                rest()
            self._tried += 1

    def take(self, shots: Sequence[Shot]) -> Reel | None:
        """The reel, if it holds how these begin; it is the taker's from then on."""
        reel, told = self._reel, [shot.key for shot in self._told[: self._tried]]
        self._reel = None
        self.drop()
        if reel is None:
            return None
        if reel.shots and told == [shot.key for shot in shots[: len(told)]]:
            return reel
        reel.leave()
        return None

    def drop(self) -> None:
        """Nothing more of this film is done ahead."""
        if self._reel is not None:
            self._reel.leave()
        self._reel, self._told, self._tried, self._given_up = None, [], 0, True
