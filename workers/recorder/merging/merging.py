"""An individual recording as one film: a take of the replay channel on the virtual clock, its slices joined."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.vocabulary import pipe
from models.vocabulary.channel import Anchor
from models.vocabulary.errors import DiskFull, NoRecordedData
from models.vocabulary.film import Shot
from models.vocabulary.spec import AudioSpec, LayoutSpec, MemoryStore, Mode, RecordingSpec, Secrets, VideoSpec
from workers.recorder.clock import VirtualClock, run_virtual
from workers.recorder.film.film import FilmFile, Reel, make
from workers.recorder.merging.recorded import Recorded
from workers.recorder.merging.replay import CLOCK_ID, ZERO_S, Opened, Replay
from workers.recorder.mixer.gallery import Download
from workers.recorder.segment.slices import ClosedSlice
from workers.recorder.take import Take

#: Nobody being there for long ends no merging.
_NEVER_IDLE_S: Final = 1 << 31
_NOTHING: Final = "nothing was recorded that could be merged"


@dataclass(frozen=True, slots=True)
class Merged:
    film: FilmFile
    warnings: tuple[str, ...]


def merged_spec(recorded: Recorded, video: VideoSpec, audio: AudioSpec, layout: LayoutSpec) -> RecordingSpec:
    """A mix of all that was recorded. Raises `NoRecordedData`."""
    sound, pictures = recorded.has("audio"), recorded.has("video")
    if not (sound or pictures):
        raise NoRecordedData(_NOTHING)
    return RecordingSpec(
        mode=Mode.MIX,
        appid=recorded.appid,
        cname=recorded.cname,
        uid="merge",
        channel="",
        stream_types=2 if sound and pictures else 0 if sound else 1,
        max_idle_s=_NEVER_IDLE_S,
        video=video,
        audio=audio,
        layout=layout,
        store=MemoryStore(),
    )


def merge(
    recorded: Recorded,
    spec: RecordingSpec,
    out: Path,
    opened: Opened,
    *,
    download: Download,
    on_progress: Callable[[int], None],
) -> Merged:
    """Mix all of it into the MP4 `out`: its time 0 is the recording's zero. It grows in a folder beside `out`.

    `on_progress` gets the tick up to which it is mixed. Raises `DiskFull`, `StorageError`, and what `opened` raises.
    """
    warnings: list[str] = []
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as name:
        folder = Path(name)
        reel = Reel(folder / out.name, spec)

        def closed(slice_: ClosedSlice) -> None:
            if slice_.lost:
                raise DiskFull()
            reel.add(_shot(slice_), slice_.path)
            slice_.path.unlink()
            on_progress(slice_.end_90k)

        async def mixed(clock: VirtualClock) -> None:
            take = Take(
                _begin(recorded, spec, folder),
                clock,
                Replay(clock, recorded, opened),
                folder,
                resume_at_90k=0,
                on_joined=_nothing,
                on_zero=_nothing,
                on_first_frame=_nothing,
                on_slice=closed,
                on_warning=warnings.append,
                download=download,
            )
            await take.run()

        try:
            run_virtual(mixed, start_wall_ms=recorded.t0_ms - round(ZERO_S * 1000))
            film = make(reel.shots, out, spec, _nowhere, rest=_nothing, begun=reel)
        finally:
            reel.leave()
    if film is None:
        raise NoRecordedData(_NOTHING)
    return Merged(film, tuple(dict.fromkeys(warnings)))


def _begin(recorded: Recorded, spec: RecordingSpec, folder: Path) -> pipe.Begin:
    zero = Anchor(CLOCK_ID, 0.0)
    return pipe.Begin(
        sid=recorded.sid,
        epoch=1,
        owner="merge",
        spec=spec,
        secrets=Secrets(),
        opened_ms=recorded.t0_ms,
        t0_ms=recorded.t0_ms,
        anchor=pipe.Point(clock_id=zero.clock_id, zero_s=zero.zero_s),
        spool=str(folder),
    )


def _shot(slice_: ClosedSlice) -> Shot:
    where = {"start_90k": slice_.start_90k, "end_90k": slice_.end_90k, "key": slice_.path.name}
    return Shot.model_validate(where | {"bytes": slice_.bytes, "md5": slice_.md5})


def _nowhere(_: Shot) -> None:
    """All of them are on the reel."""


def _nothing(*_: object) -> None:
    """Nobody waits for it."""
