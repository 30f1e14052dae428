"""A picture of each user in every interval, upright, beside a recording that they cost nothing."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from models.vocabulary import journal
from models.vocabulary.ticks import TICKS_PER_S
from tests.individual.streams import spec, units
from tests.recorder.virtual import SID, Run, scene, user
from workers.spool import Spool

S = TICKS_PER_S


def test_each_user_is_taken_once_in_every_interval_and_stands_upright(tmp_path: Path) -> None:
    turned = user("b", (1, "join"), (1, "publish"), {"at_s": 1, "do": "rotate", "degrees": 90}, codec="vp8", gop_s=10)
    run = Run(tmp_path, spec(scene(tmp_path, user("a"), turned, duration_s=7), snapshots={"interval_s": 2})).record()
    assert (run.code, run.keeper.faults, run.keeper.warnings) == (0, [], [])
    taken = [e for _, e in Spool(run.spool).entries() if isinstance(e, journal.Snapshot)]
    assert [e.at_90k // (2 * S) for e in taken if e.track == "a/video"] == [0, 1, 2, 3]
    assert [e.at_90k // (2 * S) for e in taken if e.track == "b/video"] == [0, 1, 2, 3]
    assert {e.key for e in taken} <= run.keeper.stored
    assert all(e.key.startswith(f"{SID}_room__uid_s_{e.track[0]}__uid_e_video_") for e in taken)
    sizes = {e.track: Image.open(run.out / e.key).size for e in taken}
    assert sizes == {"a/video": (160, 90), "b/video": (90, 160)}
    assert all(Image.open(run.out / e.key).convert("L").getextrema()[1] > 0 for e in taken)  # type: ignore[operator]  # of one band, it is a pair
    assert len(units(run, "a", "video")) == 105


def test_what_cannot_be_decoded_is_passed_over(tmp_path: Path) -> None:
    broken = user("a", (0, "join"), (0, "publish"), {"at_s": 0, "do": "corrupt", "what": ["video"], "for_s": 3})
    run = Run(tmp_path, spec(scene(tmp_path, broken, duration_s=5), snapshots={"interval_s": 1})).record()
    taken = [e for _, e in Spool(run.spool).entries() if isinstance(e, journal.Snapshot)]
    assert [e.at_90k // S for e in taken] == [3, 4]
    assert (run.code, run.keeper.faults) == (0, [])
