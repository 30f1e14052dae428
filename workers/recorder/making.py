"""Making: what a take writes its media with. A mixed stretch, or an ensemble of single streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from models.vocabulary import pipe
from models.vocabulary.channel import Track, TrackSource
from models.vocabulary.spec import RecordingSpec
from models.vocabulary.timing import Clock
from workers.recorder.individual.ensemble import Before, Ensemble, OnHole, OnOpen, stream_name
from workers.recorder.individual.snapshots import OnSnapshot
from workers.recorder.mixer.director import doubts
from workers.recorder.mixer.gallery import Download
from workers.recorder.segment.slices import OnSlice
from workers.recorder.stretch import Stretch

Made = Stretch | Ensemble
#: Copied units have no grid; they are written in steps so long.
STEPS_A_SECOND = 10


class Making:
    def __init__(
        self,
        begin: pipe.Begin,
        clock: Clock,
        folder: Path,
        *,
        on_slice: OnSlice,
        on_open: OnOpen,
        on_hole: OnHole,
        on_snapshot: OnSnapshot,
        on_warning: Callable[[str], None],
        want_key: Callable[[str], None],
        before: Before | None,
        download: Download,
    ) -> None:
        self._begin = begin
        self._clock = clock
        self._folder = folder
        self._on_slice, self._on_open, self._on_hole = on_slice, on_open, on_hole
        self._on_snapshot = on_snapshot
        self._on_warning = on_warning
        self._want_key = want_key
        self._before = before
        self._download = download

    def stretch(self, spec: RecordingSpec, first_90k: int, t0_ms: int, sources: frozenset[TrackSource]) -> Stretch:
        """Says what of the layout a channel with these sources cannot offer."""
        stretch = Stretch(
            spec,
            self._begin,
            self._clock,
            self._folder,
            first_90k=first_90k,
            t0_ms=t0_ms,
            download=self._download,
            on_slice=self._on_slice,
            on_warning=self._on_warning,
            want_key=self._want_key,
        )
        for sentence in doubts(spec, sources):
            self._on_warning(sentence)
        return stretch

    def ensemble(self, spec: RecordingSpec, first_90k: int, t0_ms: int, tracks: Iterable[Track]) -> Ensemble:
        ensemble = Ensemble(
            spec,
            self._folder,
            first_90k=first_90k,
            name=stream_name(self._begin.sid, spec.cname, t0_ms, self._begin.epoch),
            on_slice=self._on_slice,
            on_open=self._on_open,
            on_hole=self._on_hole,
            on_warning=self._on_warning,
            want_key=self._want_key,
            before=self._before,
            on_snapshot=self._on_snapshot,
        )
        for track in tracks:
            ensemble.follow(track)
        return ensemble


def stepped(spec: RecordingSpec) -> RecordingSpec:
    """What an ensemble is made of."""
    return spec.model_copy(update={"video": spec.video.model_copy(update={"fps": STEPS_A_SECOND})})
