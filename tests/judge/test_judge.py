"""The judge passes what is right and names each thing that is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from farm.judge.contact_sheet import contact_sheet, timecode
from farm.judge.report import Verdict, judge_recording
from farm.judge.structure import check
from farm.judge.users import Cell, Watched
from models.vocabulary.ticks import LEAD_90K
from tests.judge.recordings import PLANS, VIEWS, Piece, edit, record

WHOLE = (Piece(0, 30), Piece(30, 60), Piece(60, 90))


def watched(until_s: float = 6.0) -> list[Watched]:
    return [
        Watched(plan.user_no, plan.name, (Cell(view),), ((0.0, until_s),), plan.fps, plan.loop_s)
        for plan, view in zip(PLANS, VIEWS, strict=True)
    ]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("good"), WHOLE)


@pytest.fixture
def copy(good: Path, tmp_path: Path) -> Path:
    """The good recording, to be broken."""
    for file in good.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path / good.name


@pytest.fixture(scope="module")
def verdict(good: Path) -> Verdict:
    return judge_recording(good, watched())


def test_a_right_recording_has_no_violations(verdict: Verdict) -> None:
    assert verdict.violations == ()
    assert (verdict.segments, verdict.frames, verdict.duration_s) == (3, 90, 6.0)
    assert (verdict.width, verdict.height, verdict.fps) == (180, 320, 15)
    assert verdict.holes == ()


def test_every_flash_beep_and_number_of_every_user_is_found(verdict: Verdict) -> None:
    for user in verdict.users:
        assert (user.flashes_due, user.flashes_found) == (6, 6)
        assert (user.beeps_due, user.beeps_found) == (6, 6)
        assert (user.frames_seen, user.frames_unread) == (90, 0)
        assert (user.frames_lost, user.frames_doubled, user.frames_backward) == (0, 0, 0)
        assert (user.seconds_lost, user.seconds_doubled) == (0, 0)
        assert user.still_s == pytest.approx(0, abs=1e-6)
        assert user.offset_s == pytest.approx(0, abs=0.001)
        assert user.heard_offset_s is not None and abs((user.heard_offset_s + 0.5) % 1 - 0.5) < 0.005
    assert verdict.flashes_found_pct == 100
    assert verdict.av_offset_ms == pytest.approx(0, abs=5)
    assert verdict.first_seen_s == 0


def test_sound_that_is_late_is_measured(tmp_path: Path) -> None:
    playlist = record(tmp_path, [Piece(0, 45, sound_shift_ms=70)])
    assert judge_recording(playlist, watched(3)).av_offset_ms == pytest.approx(-70, abs=5)


def test_a_picture_shown_again_and_a_picture_never_shown_are_counted(tmp_path: Path) -> None:
    playlist = record(tmp_path, [Piece(0, 30, frozen=frozenset({7, 20}))])
    verdict = judge_recording(playlist, watched(2))
    assert verdict.violations == ()
    assert [(it.frames_doubled, it.frames_lost) for it in verdict.users] == [(2, 2), (2, 2)]
    assert [it.still_s for it in verdict.users] == pytest.approx([1 / 15, 1 / 15])


def test_a_user_who_is_not_there_is_not_found(good: Path) -> None:
    ghost = Watched(7, "ghost", (Cell(VIEWS[0]),), ((0.0, 6.0),))
    (user,) = judge_recording(good, [ghost]).users
    assert user.frames_seen == user.beeps_found == 0
    assert user.frames_unread == 90
    assert user.av_offset_ms is None


def test_a_hole_with_its_tag_is_right_and_is_reported(tmp_path: Path) -> None:
    playlist = record(tmp_path, [Piece(0, 30), Piece(45, 75)])
    verdict = judge_recording(playlist, watched(5))
    assert verdict.violations == ()
    assert verdict.holes == ((2.0, 3.0),)
    assert [it.flashes_found for it in verdict.users] == [4, 4]  # of seconds 0 … 4, that of second 2 was never recorded
    assert [it.seconds_lost for it in verdict.users] == [1, 1]


def test_the_wrap_of_33_bits_is_no_jump(tmp_path: Path) -> None:
    base_90k = 2**33 - LEAD_90K - 3 * 90_000
    assert check(record(tmp_path, WHOLE, base_90k=base_90k)) == []


BROKEN: list[tuple[str, list[Piece]]] = [
    ("piece001.ts: 1 frames are missing inside", [Piece(0, 30), Piece(30, 60, skip=frozenset({41}))]),
    ("piece001.ts: 1 frames are there twice", [Piece(0, 30), Piece(29, 60)]),
    ("piece001.ts: does not start with an IDR", [Piece(0, 30), Piece(30, 60, headless=True)]),
    ("piece001.ts: sound and picture start 1", [Piece(0, 30), Piece(30, 60, sound_late=8)]),
    ("piece001.ts: its sound does not go on", [Piece(0, 30), Piece(30, 60, sound_late=1)]),
    ("piece001.ts: 5 continuity counters jump", [Piece(0, 30), Piece(30, 60, options={"mpegts_copyts": "1"})]),
    ("piece000.ts: EXTINF says 2 s, its frames last 1.9333 s", [Piece(0, 30, skip=frozenset({29}))]),
]


@pytest.mark.parametrize(("said", "pieces"), BROKEN, ids=[said for said, _ in BROKEN])
def test_wrong_media_is_named(tmp_path: Path, said: str, pieces: list[Piece]) -> None:
    found = check(record(tmp_path, pieces))
    assert [text for text in found if text.startswith(said)], found


EXTINF = "#EXTINF:2.000000,"
EDITS: list[tuple[str, Callable[[Path], None]]] = [
    ("piece000.ts: EXTINF says 1.9 s, its frames last 2.0000 s", lambda p: edit(p, EXTINF, "#EXTINF:1.9,")),
    ("piece000.ts: EXTINF 2.6 is longer than TARGETDURATION 2", lambda p: edit(p, EXTINF, "#EXTINF:2.6,")),
    ("there is no EXT-X-ENDLIST", lambda p: edit(p, "#EXT-X-ENDLIST", "")),
    ("there is no EXT-X-TARGETDURATION", lambda p: edit(p, "#EXT-X-TARGETDURATION:2\n", "")),
    ("fractions of seconds in EXTINF", lambda p: edit(p, "#EXT-X-VERSION:3\n", "")),
    ("the first line is not #EXTM3U", lambda p: edit(p, "#EXTM3U\n", "")),
    ("piece001.ts: has a DISCONTINUITY where nothing jumps", lambda p: _tag(p, "piece001.ts")),
    ("piece002.ts: a hole of 2.000 s before it has no DISCONTINUITY", lambda p: _unlist(p, 1)),
    ("piece001.ts: begins 4.000 s before the end", lambda p: _swap(p)),
    ("piece001.ts: is listed twice", lambda p: edit(p, "piece002.ts", "piece001.ts")),
    ("piece001.ts: there is no such file", lambda p: (p.parent / "piece001.ts").unlink()),
    ("../x.ts: does not lie beside its playlist", lambda p: edit(p, "piece001.ts", "../x.ts")),
    (
        "piece000.ts: has no PROGRAM-DATE-TIME",
        lambda p: edit(p, "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n", ""),
    ),
    ("piece001.ts: its PROGRAM-DATE-TIME is +500 ms", lambda p: edit(p, "00:00:02.000Z", "00:00:02.500Z")),
    ("piece002.ts: its PROGRAM-DATE-TIME is not after", lambda p: edit(p, "00:00:04.000Z", "00:00:02.000Z")),
    ("piece001.ts: is no whole number of transport packets", lambda p: _cut(p.parent / "piece001.ts", 100)),
    ("piece001.ts: does not start with PAT and PMT", lambda p: _behead(p.parent / "piece001.ts")),
    ("piece001.ts: 1 continuity counters jump", lambda p: _lose(p.parent / "piece001.ts", 20)),
]


@pytest.mark.parametrize(("said", "spoil"), EDITS, ids=[said for said, _ in EDITS])
def test_a_spoiled_recording_is_named(copy: Path, said: str, spoil: Callable[[Path], None]) -> None:
    spoil(copy)
    found = check(copy)
    assert [text for text in found if text.startswith(said)], found


def test_a_recording_under_way_need_not_have_ended(copy: Path) -> None:
    edit(copy, "#EXT-X-ENDLIST", "")
    assert check(copy, live=True) == []


def test_an_undecodable_file_is_a_violation_and_no_crash(copy: Path) -> None:
    (copy.parent / "piece001.ts").write_bytes(b"\x00" * 188 * 50)
    verdict = judge_recording(copy, watched())
    assert any(text.startswith("piece001.ts: has no transport packet") for text in verdict.violations)
    assert verdict.frames == 60


def test_a_contact_sheet_has_pictures_from_begin_to_end(good: Path, tmp_path: Path) -> None:
    with Image.open(contact_sheet(good, tmp_path / "sheet.png", count=6, title="Three people")) as sheet:
        assert sheet.size == (2 * 24 + 6 * 135 + 5 * 16, 64 + 24 + 240 + 30)
        colours = {sheet.convert("RGB").getpixel((24 + n * 151 + 20, 64 + 40)) for n in range(6)}
    assert all(isinstance(it, tuple) and it[0] > 100 for it in colours)
    assert timecode(3723.0042) == "01:02:03.004"


def test_the_command_prints_a_table_and_json_last(good: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    told = subprocess.run(
        [
            sys.executable,
            "-m",
            "farm.judge",
            str(good),
            "--watch",
            "1:30:320x180:0,0,180,160:0-6",
            "--sheet",
            str(sheet),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    last = json.loads(told.stdout.splitlines()[-1])
    assert (last["frames"], last["holes"], last["violations"], last["flashes_found_pct"]) == (90, [], [], 100)
    assert sheet.stat().st_size > 1000


def _tag(playlist: Path, name: str) -> None:
    edit(playlist, f"{EXTINF}\n{name}", f"#EXT-X-DISCONTINUITY\n{EXTINF}\n{name}")


def _unlist(playlist: Path, n: int) -> None:
    lines = playlist.read_text().splitlines(keepends=True)
    at = lines.index(f"piece{n:03d}.ts\n")
    playlist.write_text("".join(lines[: at - 2] + lines[at + 1 :]))


def _swap(playlist: Path) -> None:
    edit(playlist, "piece001.ts", "other")
    edit(playlist, "piece002.ts", "piece001.ts")
    edit(playlist, "other", "piece002.ts")


def _cut(path: Path, end: int) -> None:
    path.write_bytes(path.read_bytes()[:-end])


def _behead(path: Path) -> None:
    """Without its SDT, PAT and PMT."""
    path.write_bytes(path.read_bytes()[3 * 188 :])


def _lose(path: Path, n: int) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: n * 188] + content[(n + 1) * 188 :])
