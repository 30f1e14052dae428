"""A stretch: what a mixing take makes in one piece, from its first frame to its end or to a hold's edge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from models.vocabulary import keys, pipe
from models.vocabulary.channel import Layer, Unit
from models.vocabulary.spec import RecordingSpec
from models.vocabulary.timing import Clock
from workers.recorder.mixer.director import Director
from workers.recorder.mixer.gallery import Download
from workers.recorder.mixer.seen import SeenUser
from workers.recorder.programme import Programme
from workers.recorder.segment.slices import OnSlice


class Stretch:
    """A programme and who directs it. `finish` or `abort`, then `close`."""

    def __init__(
        self,
        spec: RecordingSpec,
        begin: pipe.Begin,
        clock: Clock,
        folder: Path,
        *,
        first_90k: int,
        t0_ms: int,
        download: Download,
        on_slice: OnSlice,
        on_warning: Callable[[str], None],
        want_key: Callable[[str], None],
    ) -> None:
        def name(start_90k: int) -> str:
            return Path(keys.segment_key((), begin.sid, spec.cname, t0_ms, start_90k, begin.epoch)).name

        self._programme = Programme(
            spec, folder, first_90k=first_90k, name=name, on_slice=on_slice, on_warning=on_warning, want_key=want_key
        )
        self._director = Director(spec, self._programme, clock, t0_ms=t0_ms, download=download, on_warning=on_warning)
        self.first_90k = self._programme.first_90k

    def respec(self, spec: RecordingSpec) -> None:
        self._director.respec(spec)

    def push(self, unit: Unit, at_90k: int) -> None:
        self._programme.push(unit, at_90k)

    def hurry(self, hurry: bool) -> None:
        self._programme.hurry(hurry)

    def show(self, users: tuple[SeenUser, ...], tick_90k: int) -> Mapping[str, Layer] | None:
        """Draw these from this tick on. The layers in which tracks are wanted, if the scene is another one now."""
        return self._director.layers if self._director.show(users, tick_90k) else None

    def advance(self, to_90k: int) -> None:
        self._programme.advance(to_90k)

    def finish(self, end_90k: int) -> int:
        return self._programme.finish(end_90k)

    def abort(self) -> None:
        self._programme.abort()

    async def close(self) -> None:
        await self._director.close()
