"""Recordings of scripted scenes on the virtual clock, and what lies in the store afterwards."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farm.judge.report import Verdict, judge_recording
from models.vocabulary import keys, pipe
from models.vocabulary.spec import MemoryStore, RecordingSpec, VideoSpec
from stores.base import Store
from stores.folder import Folder
from tests.recorder.keeper import Keeper
from workers.recorder.clock import VirtualClock, run_virtual
from workers.recorder.recorder import Recorder

SID = "5" * 32
WIDTH, HEIGHT = 160, 90

Act = Callable[["Run", VirtualClock], Awaitable[None]]


def user(name: str, *actions: tuple[float, str] | Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """Small, at 15 fps; an action is (second, verb) or the whole of it. None at all: he is there and publishes."""
    told = [dict(a) if isinstance(a, Mapping) else {"at_s": a[0], "do": a[1]} for a in actions]
    told = told or [{"at_s": 0, "do": "join"}, {"at_s": 0, "do": "publish"}]
    return {"id": name, "width": WIDTH, "height": HEIGHT, "fps": 15, "actions": told} | fields


def scene(folder: Path, *users: Mapping[str, Any], **fields: Any) -> str:
    """The channel address of a scene."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "scene.json"
    path.write_text(json.dumps({"users": users} | fields))
    return f"scripted:{path}"


def spec(channel: str, **fields: Any) -> RecordingSpec:
    fps = fields.pop("fps", 15)
    video = VideoSpec(width=WIDTH, height=HEIGHT, fps=fps, bitrate_bps=100_000)
    base = {"appid": "a", "cname": "room", "uid": "1", "channel": channel, "store": MemoryStore(), "video": video}
    return RecordingSpec.model_validate(base | fields)


@dataclass
class Run:
    """One recorder process and its keeper; `store` defaults to a folder."""

    folder: Path
    spec: RecordingSpec
    store: Store | None = None
    code: int | None = None

    def __post_init__(self) -> None:
        self.out = self.folder / "out"
        self.spool = self.folder / "spool"
        self.keeper = Keeper(SID, self.spec, self.spool)
        self.store = self.store or Folder(self.out)

    @property
    def playlist(self) -> Path:
        return self.out / keys.playlist_key((), SID, self.spec.cname)

    def recorder(self, clock: VirtualClock, **begin: Any) -> Recorder:
        store = self.store
        assert store is not None
        told = self.keeper.begin(begin.pop("opened_ms", clock.wall_ms()), **begin)
        chance = random.Random(1).random
        messages = self.keeper.messages()
        return Recorder(told, self.keeper, messages, clock, chance, open_store=lambda _spec, _secrets: store)

    def record(self, act: Act | None = None, **begin: Any) -> Run:
        async def main(clock: VirtualClock) -> None:
            acting = None if act is None else asyncio.ensure_future(_acted(act, self, clock))
            self.code = await self.recorder(clock, **begin).run()
            if acting is not None:
                acting.cancel()

        run_virtual(main)
        return self

    def judge(self) -> Verdict:
        return judge_recording(self.playlist)

    @property
    def head_90k(self) -> int:
        assert self.keeper.drained is not None
        return self.keeper.drained.head_90k

    @property
    def reason(self) -> str:
        assert self.keeper.drained is not None
        return self.keeper.drained.reason


async def _acted(act: Act, run: Run, clock: VirtualClock) -> None:
    await act(run, clock)


def finish_at(second: float) -> Act:
    async def act(run: Run, clock: VirtualClock) -> None:
        await clock.sleep_until(second)
        run.keeper.say(pipe.Finish())

    return act
