"""A user's sound as AAC in mpegts, which every HLS player takes: decoded and encoded on the recording clock's grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from models.vocabulary.channel import Unit
from models.vocabulary.spec import RecordingSpec
from models.vocabulary.streams import Stream
from models.vocabulary.ticks import TICKS_PER_S
from workers.recorder.individual.copied import CopyCounts, Opens
from workers.recorder.individual.cutting import TICKS_PER_MS, edge
from workers.recorder.programme import TAIL_90K, Programme
from workers.recorder.segment.slices import OnSlice

SUFFIX: Final = ".ts"
#: No unit for so long, and the sender has stopped: until then his silence is recorded.
PAUSE_90K: Final = 3 * TICKS_PER_S


class Transcoded:
    """One user's sound: the mixer's own way from units to slices, with one voice and no picture. May raise `DiskFull`."""

    def __init__(
        self,
        stream: Stream,
        spec: RecordingSpec,
        folder: Path,
        opens: Opens,
        on_slice: OnSlice,
        *,
        on_warning: Callable[[str], None],
        from_90k: int,
    ) -> None:
        self.stream = stream
        self.counts = CopyCounts()
        self._spec = spec.model_copy(update={"stream_types": 0})
        self._folder, self._opens = folder, opens
        self._on_slice, self._on_warning = on_slice, on_warning
        self._programme: Programme | None = None
        self._last_90k = 0  # of the newest unit
        self._from_90k = from_90k

    @property
    def open(self) -> bool:
        return self._programme is not None

    def push(self, unit: Unit, at_90k: int) -> None:
        if at_90k < self._from_90k:
            self.counts.dropped += 1
            return
        if self._programme is None:
            self._programme = self._begun(max(edge(at_90k), self._from_90k))
        self._last_90k = max(self._last_90k, at_90k)
        self._programme.push(unit, at_90k)
        self.counts.copied += 1

    def advance(self, to_90k: int) -> None:
        if self._programme is None:
            return
        self._programme.advance(to_90k)
        if to_90k - self._last_90k > PAUSE_90K:
            self.stop()

    def stop(self, at_90k: int | None = None) -> int | None:
        """Close the slice at a tick, or where it is by now. Where it ends; None when none was open."""
        if self._programme is None:
            return None
        programme, self._programme = self._programme, None
        end_90k = programme.finish(programme.position_90k if at_90k is None else at_90k)
        self._from_90k = end_90k + -end_90k % TICKS_PER_MS
        return end_90k

    def abort(self) -> None:
        if self._programme is not None:
            programme, self._programme = self._programme, None
            programme.abort()

    def _begun(self, start_90k: int) -> Programme:
        return Programme(
            self._spec,
            self._folder,
            first_90k=start_90k,
            name=lambda start: self._opens(self.stream, start, SUFFIX).name,
            on_slice=lambda slice_: self._on_slice(replace(slice_, track=self.stream.track)),
            on_warning=self._on_warning,
            want_key=lambda _: None,
        )


__all__ = ["SUFFIX", "TAIL_90K", "Transcoded"]
