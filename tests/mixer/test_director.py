"""From wishes to scenes: images as they come, the time as it goes, layers as cells need them."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from PIL import Image

from models.vocabulary import pipe
from models.vocabulary.channel import Layer, Sink, TrackSource
from models.vocabulary.scene import ItemKind, Scene
from models.vocabulary.spec import Content, ContentKind, LayoutKind, LayoutSpec, RecordingSpec, Secrets, VideoSpec
from tests.segment.scripted import play
from tests.segment.scripted import spec as video_spec
from workers.recorder.capture.script import Script
from workers.recorder.capture.scripted import ScriptedChannel
from workers.recorder.clock import VIRTUAL_START_MS, VirtualClock, run_virtual
from workers.recorder.mixer.bitrate import base_kbps, far_off
from workers.recorder.mixer.director import Director, doubts
from workers.recorder.mixer.tile import Picture
from workers.recorder.segment.slices import ClosedSlice
from workers.recorder.stretch import Stretch
from workers.recorder.take import Take

URL = "http://pictures.test/canvas.png"


def spec(**layout: object) -> RecordingSpec:
    plan = LayoutSpec.model_validate({"kind": LayoutKind.BEST_FIT} | layout)
    return video_spec(width=320, height=320, bitrate_bps=300_000).model_copy(update={"layout": plan})


def picture(url: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 40), "#ff0000").save(out, "PNG")
    return out.getvalue()


@dataclass
class Stage:
    scenes: list[Scene] = field(default_factory=list)
    images: dict[str, Picture] = field(default_factory=dict)

    def image(self, ref: str, picture: Picture) -> None:
        self.images[ref] = picture

    def show(self, scene: Scene) -> None:
        assert all(item.ref in self.images for item in scene.items if item.kind is ItemKind.IMAGE)
        self.scenes.append(scene)


def test_an_image_changes_the_scene_once_it_has_come_and_the_time_changes_it_each_second() -> None:
    stage, warnings = Stage(), list[str]()

    async def main(clock: VirtualClock) -> None:
        wishes = spec(background_image=URL, contents=[{"kind": "timestamp"}])
        director = Director(wishes, stage, clock, t0_ms=VIRTUAL_START_MS, download=picture, on_warning=warnings.append)
        assert director.show((), 0)
        await asyncio.sleep(0.01)
        changed = [n for n in range(1, 31) if director.show((), n * 6_000)]
        assert changed == [1, 15, 30]
        director.respec(spec())
        assert director.show((), 31 * 6_000)
        await director.close()

    run_virtual(main)
    kinds = [[item.kind.value for item in scene.items] for scene in stage.scenes]
    assert kinds == [["text"], ["image", "text"], ["image", "text"], ["image", "text"], []]
    assert [scene.items[-1].ref[-2:] for scene in stage.scenes[:4]] == ["00", "00", "01", "02"]
    assert warnings == []


class Layered(ScriptedChannel):
    """A scripted room that remembers which layers it was asked for."""

    caps = replace(ScriptedChannel.caps, layers=True)

    def __init__(self, clock: VirtualClock, script: Script) -> None:
        super().__init__(clock, script)
        self.asked: list[tuple[str, Layer]] = []

    async def subscribe(self, track_id: str, sink: Sink, layer: Layer = Layer.HIGH) -> None:
        self.asked.append((track_id, layer))
        await super().subscribe(track_id, sink, layer)


@pytest.mark.parametrize(("wish", "asked"), [(0, [Layer.HIGH, Layer.LOW, Layer.HIGH]), (1, [Layer.LOW])])
def test_a_take_asks_for_the_layer_that_a_users_cell_needs(wish: int, asked: list[Layer], tmp_path: Path) -> None:
    """Alone he has a large picture; beside four others a small one."""

    def user(n: int, *actions: tuple[float, str]) -> dict[str, object]:
        told = [{"at_s": at_s, "do": do} for at_s, do in actions]
        return {"id": f"u{n}", "width": 128, "height": 72, "fps": 5, "actions": told}

    others = [user(n, (2, "join"), (2, "publish"), (5, "leave")) for n in range(2, 6)]
    script = Script.model_validate({"users": [user(1, (0, "join"), (0, "publish")), *others], "duration_s": 8})
    wishes = spec().model_copy(
        update={"video_stream_type": wish, "video": VideoSpec(width=640, height=640, bitrate_bps=500_000)}
    )

    async def main(clock: VirtualClock) -> list[tuple[str, Layer]]:
        channel = Layered(clock, script)
        begin = pipe.Begin(
            sid="0" * 32, epoch=1, owner="0" * 32, spec=wishes, secrets=Secrets(),
            opened_ms=VIRTUAL_START_MS, spool=str(tmp_path),
        )  # fmt: skip
        take = Take(
            begin, clock, channel, tmp_path, resume_at_90k=0, on_joined=lambda: None, on_zero=lambda _: None,
            on_first_frame=lambda _: None, on_slice=lambda _: None, on_warning=lambda _: None,
        )  # fmt: skip
        await take.run()
        return channel.asked

    found = run_virtual(main)
    assert [layer for track, layer in found if track.startswith("u1/video")] == asked


def test_what_a_channel_cannot_offer_is_said_in_words() -> None:
    wishes = spec(contents=[Content(kind=ContentKind.WHITEBOARD), Content(kind=ContentKind.SCREEN)])
    offered = frozenset({TrackSource.CAMERA, TrackSource.SCREEN})
    assert doubts(wishes, offered) == ["this channel offers no whiteboard: that content stays empty"]
    assert doubts(wishes, frozenset(TrackSource)) == []


@pytest.mark.parametrize(
    ("width", "height", "fps", "kbps"),
    [(640, 360, 15, 400), (640, 360, 30, 600), (1280, 720, 15, 1130), (1280, 720, 30, 1710), (1920, 1080, 30, 3150)],
)
def test_the_table_of_bit_rates_is_met_within_a_tenth(width: int, height: int, fps: int, kbps: int) -> None:
    assert base_kbps(VideoSpec(width=width, height=height, fps=fps)) == pytest.approx(kbps, rel=0.1)


def test_only_a_rate_far_off_the_table_is_warned_of() -> None:
    assert [far_off(VideoSpec(bitrate_bps=kbps * 1000)) is None for kbps in (90, 150, 500, 2000, 6500)] == [
        False, True, True, True, False,
    ]  # fmt: skip


class Slow(VirtualClock):
    """A machine on which, for a while, everything comes half a second late."""

    async def sleep_until(self, t: float) -> None:
        await super().sleep_until(t + 0.5 if 2 < t < 10 else t)


def test_ticks_that_stay_late_are_encoded_with_less_care_from_the_next_edge_and_nothing_is_missing(
    tmp_path: Path,
) -> None:
    told = [{"at_s": 0, "do": "join"}, {"at_s": 0, "do": "publish"}]
    user = {"id": "u", "width": 128, "height": 72, "fps": 15, "actions": told}
    script = Script.model_validate({"users": [user], "duration_s": 14})
    warnings, slices = list[str](), list[ClosedSlice]()
    thrifty: list[int] = []
    made: list[object] = []

    async def main(clock: VirtualClock) -> None:
        begin = pipe.Begin(
            sid="0" * 32, epoch=1, owner="0" * 32, spec=spec(), secrets=Secrets(),
            opened_ms=VIRTUAL_START_MS, spool=str(tmp_path),
        )  # fmt: skip
        take = Take(
            begin, Slow(asyncio.get_running_loop()), ScriptedChannel(clock, script), tmp_path, resume_at_90k=0,
            on_joined=lambda: None, on_zero=lambda _: None, on_first_frame=lambda _: made.append(take._made),
            on_slice=slices.append, on_warning=warnings.append,
        )  # fmt: skip
        await take.run()
        assert take.overloaded
        (stretch,) = made
        assert isinstance(stretch, Stretch)
        thrifty.append(stretch._programme.stats.thrifty)

    run_virtual(main)
    assert warnings == ["this machine cannot keep up: pictures are encoded with less care"]
    played = play(slices, tmp_path)
    assert [at for at, _ in played.pictures] == [n * 6_000 for n in range(len(played.pictures))]
    assert 13.5 * 15 <= len(played.pictures) <= 14 * 15
    assert 0 < thrifty[0] < len(played.pictures)
    assert (len(played.pictures) - thrifty[0]) % 30 == 0, "from a slot's edge on"
    assert played.complaints == []
