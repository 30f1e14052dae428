"""Watching a scripted room to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from models.vocabulary.channel import Anchor, ChannelEvent, EventKind, Room, Unit
from models.vocabulary.timing import Clock
from workers.recorder.capture.script import Script
from workers.recorder.capture.scripted import ScriptedChannel
from workers.recorder.clock import VirtualClock, run_virtual


def room(opened_ms: int) -> Room:
    return Room("scripted:scene.json", "app", "room", "9001", opened_ms)


def user(name: str, *actions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": name, "width": 160, "height": 90, "fps": 15, **fields, "actions": list(actions)}


def act(at_s: float, do: str, **fields: Any) -> dict[str, Any]:
    return {"at_s": at_s, "do": do, **fields}


def scene(*users: dict[str, Any], **fields: Any) -> Script:
    return Script.model_validate({"users": list(users), **fields})


@dataclass
class Seen:
    zero_t: float = 0.0
    events: list[ChannelEvent] = field(default_factory=list)
    units: dict[str, list[Unit]] = field(default_factory=dict)
    order: list[float] = field(default_factory=list)

    def told(self) -> list[tuple[float, EventKind, str]]:
        """What was told: at which second of the script, and about whose what."""
        return [
            (round(e.t - self.zero_t, 6), e.kind, e.track.id if e.track else e.user.id if e.user else e.detail)
            for e in self.events
        ]

    def times(self, track_id: str) -> list[float]:
        return [round(unit.t - self.zero_t, 6) for unit in self.units[track_id]]


async def watch(
    clock: Clock, channel: ScriptedChannel, opened_ms: int, on_unit: Callable[[Unit], None] | None = None
) -> Seen:
    """Join, subscribe to everything, and stay until the room ends."""
    seen = Seen()
    await channel.open(room(opened_ms))
    zero_t = channel.time_of(Anchor(channel.anchor(0).clock_id, 0.0))
    assert zero_t is not None
    seen.zero_t = zero_t

    def sink(unit: Unit) -> None:
        seen.units[unit.track].append(unit)
        seen.order.append(unit.t)
        if on_unit:
            on_unit(unit)

    async for event in channel.events():
        seen.events.append(event)
        if event.kind is EventKind.TRACK_ADDED and event.track:
            seen.units.setdefault(event.track.id, [])
            await channel.subscribe(event.track.id, sink)
    await channel.close()
    return seen


def watched(script: Script, late_s: float = 0.0) -> Seen:
    """The whole scene on the virtual clock, joined `late_s` after it began."""

    async def main(clock: VirtualClock) -> Seen:
        opened_ms = clock.wall_ms()
        await asyncio.sleep(late_s)
        return await watch(clock, ScriptedChannel(clock, script), opened_ms)

    return run_virtual(main)
