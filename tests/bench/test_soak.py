"""The seeds of the long runs, small; and proof that their judges would see what they look for."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from bench import fuzz, soak
from bench.inputs import Input
from bench.peers import ffmpeg_command, gstreamer_command
from bench.shapes import SHAPES, shape_named
from models.vocabulary.spec import LayoutKind
from workers.recorder.mixer.canvas import Canvas
from workers.recorder.mixer.tile import Picture


@pytest.mark.parametrize("kind", [LayoutKind.BEST_FIT, LayoutKind.FLOAT])
def test_a_soaked_call_has_every_frame_and_nobody_in_anothers_cell(kind: LayoutKind, tmp_path: Path) -> None:
    verdict = soak.soak(1, 12, kind, tmp_path, lambda _: None)
    assert verdict.wrong == []
    assert verdict.frames == 12 * soak.FPS
    assert verdict.recognised > 50
    assert soak.growth_mb(verdict.memory_mb) == 0, "a short call has one sample"


def test_a_picture_in_the_wrong_cell_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Canvas.foresee
    seen: dict[str, Picture | None] = {}

    def anothers(canvas: Canvas, ref: str, picture: Picture | None) -> None:
        seen[ref] = picture
        own(canvas, ref, seen[min(seen)])

    monkeypatch.setattr(Canvas, "foresee", anothers)
    verdict = soak.soak(1, 8, LayoutKind.BEST_FIT, tmp_path, lambda _: None)
    assert any("shows" in sentence for sentence in verdict.wrong)


def test_damaged_units_break_nothing() -> None:
    verdict = fuzz.fuzz(1, lambda found: found.rounds >= 6)
    assert verdict.wrong == []
    assert (verdict.rounds, verdict.pictures) == (6, 6 * 10 * fuzz.FPS)


def test_every_hue_of_the_soak_is_far_from_every_other() -> None:
    hues = sorted(soak.Judge(lambda _: None)._hue.values())
    assert len(hues) == soak.USERS
    assert min(b - a for a, b in pairwise(hues)) > 2 * soak._SAME_RAD


@pytest.mark.parametrize("name", [shape.name for shape in SHAPES])
def test_peers_are_given_the_same_cells(name: str, tmp_path: Path) -> None:
    shape = shape_named(name)
    inputs = [Input(tmp_path / f"{n}.units", tmp_path / f"{n}.mkv") for n in range(shape.users)]
    command = " ".join(ffmpeg_command("ffmpeg", shape, inputs, 10, tmp_path, one_thread=True))
    pipeline = " ".join(gstreamer_command("gst-launch-1.0", shape, inputs, tmp_path))
    for item in shape.scene.items if shape.streams else ():
        assert f"scale={item.w}:{item.h}:" in command
        assert f"xpos={item.x}" in pipeline
    assert command.count("-i ") == shape.users
