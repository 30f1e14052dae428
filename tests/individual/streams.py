"""What an individual recording on the virtual clock leaves, stream by stream."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from models.vocabulary.spec import RecordingSpec
from models.vocabulary.streams import Stream
from models.vocabulary.ticks import LEAD_90K, TICKS_PER_S
from tests.recorder.virtual import SID, Run
from tests.recorder.virtual import spec as mix_spec


def spec(channel: str, **fields: Any) -> RecordingSpec:
    return mix_spec(channel, **{"mode": "individual", "slice_s": 2} | fields)


@dataclass(frozen=True, slots=True)
class Piece:
    """A slice as its file tells it: ticks of the recording's clock."""

    name: str
    start_90k: int
    end_90k: int
    shape: str
    units_90k: tuple[int, ...]
    keys: tuple[bool, ...]
    codec: str


def playlist(run: Run, stream: Stream) -> Path:
    return run.out / f"{SID}_{run.spec.cname}{stream.suffix}.m3u8"


def pieces(run: Run, uid: str, type_: str) -> list[Piece]:
    slices = [s for s in run.keeper.slices.values() if s.track == f"{uid}/{type_}"]
    found = []
    for s in sorted(slices, key=lambda s: s.start_90k):
        with av.open(str(run.out / s.key)) as source:
            stream = source.streams[0]
            assert stream.type in ("video", "audio"), f"{s.key} holds {stream.type}"
            units = [p for p in source.demux(stream) if p.pts is not None and p.time_base is not None]
            at = tuple(round(p.pts * p.time_base * TICKS_PER_S) - LEAD_90K for p in units if p.pts is not None)
            codec = stream.codec_context.name
        found.append(Piece(s.key, s.start_90k, s.end_90k, s.shape, at, tuple(p.is_keyframe for p in units), codec))
    return found


def units(run: Run, uid: str, type_: str) -> list[int]:
    return [at for piece in pieces(run, uid, type_) for at in piece.units_90k]


def decoded(run: Run, uid: str, type_: str) -> int:
    """How many pictures a decoder makes of all slices."""
    count = 0
    for piece in pieces(run, uid, type_):
        with av.open(str(run.out / piece.name)) as source:
            count += sum(1 for _ in source.decode(video=0))
    return count


def sound_files(run: Run, uid: str) -> list[Path]:
    return [run.out / piece.name for piece in pieces(run, uid, "audio")]
