"""Overload and layers: pure rules."""

from __future__ import annotations

from models.vocabulary.channel import Layer
from models.vocabulary.scene import Item, ItemKind, Scene
from tests.segment.scripted import spec
from workers.recorder.mixer.layers import first_layer, wanted_layers
from workers.recorder.mixer.valve import Valve


def fed(valve: Valve, late_ms: float, seconds: float, fps: int = 15) -> list[bool]:
    return [valve.open for _ in range(round(seconds * fps)) if valve.tick(late_ms)]


def test_ticks_that_stay_late_open_the_valve_and_a_calm_minute_closes_it() -> None:
    valve = Valve(15)
    assert fed(valve, 20, 100) == [], "a third of a frame is in time"
    assert fed(valve, 90, 10) == [True]
    assert fed(valve, 5, 59) == []
    assert fed(valve, 5, 2) == [False]


def test_a_stall_that_is_caught_up_is_no_overload() -> None:
    valve = Valve(15)
    for _ in range(20):
        assert fed(valve, 800, 1) == []
        assert fed(valve, 0, 20) == []


def test_a_valve_that_opens_again_waits_longer() -> None:
    valve = Valve(15)
    fed(valve, 90, 10)
    fed(valve, 0, 61)
    assert fed(valve, 90, 10) == [True]
    assert fed(valve, 0, 119) == []
    assert fed(valve, 0, 2) == [False]
    assert valve.openings == 2


def scene(*items: tuple[str, int, int]) -> Scene:
    return Scene(1280, 720, 15, items=tuple(Item(ItemKind.SOURCE, ref, 0, 0, w, h) for ref, w, h in items))


def test_small_cells_are_asked_for_in_the_low_layer() -> None:
    plan = spec()
    assert first_layer(plan) is Layer.HIGH
    found = wanted_layers(plan, scene(("big", 1280, 720), ("small", 256, 144), ("twice", 128, 72), ("twice", 640, 360)))
    assert found == {"big": Layer.HIGH, "small": Layer.LOW, "twice": Layer.HIGH}


def test_the_callers_explicit_low_wins() -> None:
    plan = spec().model_copy(update={"video_stream_type": 1})
    assert first_layer(plan) is Layer.LOW
    assert wanted_layers(plan, scene(("big", 1280, 720))) == {"big": Layer.LOW}
