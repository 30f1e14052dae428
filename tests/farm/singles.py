"""Recordings of users by themselves beside others: how they are started, and what their files hold of what was sent."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import av
import httpx

from farm.publisher.publisher import SyntheticPublisher
from models.vocabulary.streams import Stream
from models.vocabulary.ticks import AAC_SAMPLES, SAMPLE_RATE
from tests.farm.backend import ANY_STORAGE, Backend, Json, Take
from workers.synthetic.marker import View, read
from workers.synthetic.plan import MediaPlan
from workers.synthetic.planes import luma

MIXED: Final[Json] = {"maxIdleTime": 60, "streamTypes": 2}
#: Room for seven uids in both lists.
SINGLE: Final[Json] = MIXED | {"subscribeUidGroup": 1, "streamMode": "standard"}


@dataclass(frozen=True)
class Recording(Take):
    """One that shares its channel with another: its uid and mode are its own."""

    uid: str
    mode: str

    @property
    def _path(self) -> str:
        return f"/cloud_recording/resourceid/{self.resource_id}/sid/{self.sid}/mode/{self.mode}"

    def stop(self) -> httpx.Response:
        body = {"cname": self.cname, "uid": self.uid, "clientRequest": {"async_stop": False}}
        return self.backend.request("POST", f"{self._path}/stop", body)


def started(backend: Backend, cname: str, uid: str, mode: str, config: Mapping[str, Any]) -> Recording:
    who = {"cname": cname, "uid": uid}
    answer = backend.request("POST", "/cloud_recording/acquire", who | {"clientRequest": {}})
    resource_id = answer.json()["resourceId"]
    wish: Json = {"recordingConfig": dict(config), "storageConfig": ANY_STORAGE}
    if mode == "individual":
        wish["recordingFileConfig"] = {"avFileType": ["hls"]}
    path = f"/cloud_recording/resourceid/{resource_id}/mode/{mode}/start"
    for _ in range(6):
        answer = backend.request("POST", path, who | {"clientRequest": wish})
        if "sid" in answer.json():
            return Recording(backend, cname, resource_id, answer.json()["sid"], uid, mode)
        time.sleep(1)
    raise AssertionError(f"not started: {answer.text}")


@dataclass(frozen=True, slots=True)
class Sent:
    """How many pictures a user has sent until now."""

    pictures: int

    @classmethod
    def by(cls, user: SyntheticPublisher) -> Sent:
        assert user._video is not None
        return cls(user._video._next)


@dataclass(frozen=True, slots=True)
class Held:
    """What a recording has of one user."""

    before: int  # so many of his pictures were sent before its first one
    pictures: int  # each counted once
    pictures_due: int  # from its first to its last
    seconds: float  # of his sound, and how many it should be from its first to its last
    seconds_due: float
    sizes: tuple[tuple[int, int], ...]  # of each picture that changed it

    def pcts_of(self, sent: Sent) -> tuple[float, float]:
        """Pictures, and sound: of what was sent until then, and of what came after it as far as there is anything."""
        return (
            100 * self.pictures / max(self.pictures_due, sent.pictures - self.before),
            100 * self.seconds / self.seconds_due,
        )


def held(store: Path, take: Recording, uid: str, plan: MediaPlan) -> Held:
    """His camera's pictures are decoded, each, and its number is read. His sound was encoded anew."""
    numbers, sizes = list[int](), list[tuple[int, int]]()
    for file in _files(store, take, Stream(uid, "video")):
        with av.open(str(file)) as source:
            for frame in source.decode(video=0):
                size = (frame.width, frame.height)
                marker = read(luma(frame), View(0, 0, *size, *size))
                assert marker is not None and marker.user_no == plan.user_no
                numbers.append(marker.number)
                if not sizes or sizes[-1] != size:
                    sizes.append(size)
    steps = [(b - a) % plan.loop_frames for a, b in pairwise(numbers)]
    assert all(step < plan.loop_frames // 2 for step in steps), "pictures never go back"
    heard_s: list[float] = []
    for file in _files(store, take, Stream(uid, "audio")):
        with av.open(str(file)) as source:
            heard_s += [float(p.pts * p.time_base) for p in source.demux(audio=0) if p.pts is not None and p.time_base]
    unit_s = AAC_SAMPLES / SAMPLE_RATE
    return Held(
        before=numbers[0],
        pictures=1 + sum(step > 0 for step in steps),
        pictures_due=1 + sum(steps),
        seconds=len(heard_s) * unit_s,
        seconds_due=heard_s[-1] - heard_s[0] + unit_s,
        sizes=tuple(sizes),
    )


def _files(store: Path, take: Recording, stream: Stream) -> list[Path]:
    text = (store / f"{take.sid}_{take.cname}{stream.suffix}.m3u8").read_text()
    return [store / line for line in text.splitlines() if line and not line.startswith("#")]
