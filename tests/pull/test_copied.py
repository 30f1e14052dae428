"""A pulled user's pictures recorded by themselves: copied, each at its own time, though sent in another order."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from models.vocabulary.channel import TrackKind, Unit
from models.vocabulary.streams import Stream
from models.vocabulary.ticks import LEAD_90K, TICKS_PER_S
from tests.pull import films
from workers.recorder.capture.pull.tapping import taps_of
from workers.recorder.individual.copied import Copied
from workers.recorder.segment.slices import ClosedSlice


def units_of(film: Path) -> list[Unit]:
    """Its pictures, from time zero on."""
    made: list[Unit] = []
    with av.open(str(film)) as container:
        (tap,) = [tap for tap in taps_of(container)[0] if tap.kind is TrackKind.VIDEO]
        for packet in container.demux(container.streams[tap.index]):
            for it in tap.units(packet) if packet.size else ():
                later_s = it.shown_later_s
                made.append(Unit("t", tap.codec, it.data, it.stamp_s, it.key, shown_later_s=later_s))
    for unit in reversed(made):
        unit.t -= made[0].t
    return made


def test_copied_pictures_keep_their_order_and_their_times(tmp_path: Path) -> None:
    films.write(str(tmp_path / "film.mp4"), "mp4")
    units = units_of(tmp_path / "film.mp4")
    slices: list[ClosedSlice] = []
    copied = Copied(
        Stream("ada", "video"),
        TrackKind.VIDEO,
        2,
        lambda _stream, start_90k, suffix, _shape="": tmp_path / f"{start_90k}{suffix}",
        slices.append,
        on_warning=lambda text: pytest.fail(text),
        want_key=lambda: None,
        from_90k=0,
    )
    for unit in units:
        copied.push(unit, round(unit.t * TICKS_PER_S))
    copied.stop()
    assert len(slices) == films.LENGTH_S // 2
    shown: list[float] = []
    for closed in slices:
        with av.open(str(closed.path)) as container:
            stamps = [(p.dts, p.pts) for p in container.demux(0) if p.pts is not None and p.dts is not None]
            assert all(dts <= pts for dts, pts in stamps)
            assert [dts for dts, _ in stamps] == sorted({dts for dts, _ in stamps})
        with av.open(str(closed.path)) as container:
            shown += [frame.time for frame in container.decode(0) if frame.time is not None]
    assert len(shown) == len(units) == films.picture_count()
    wanted = sorted(unit.t + unit.shown_later_s for unit in units)
    assert shown == pytest.approx([t + LEAD_90K / TICKS_PER_S for t in wanted], abs=0.002)
