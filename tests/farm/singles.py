"""Recordings of users by themselves beside others: how they are started, and what their files hold of what was sent."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import av
import httpx

from farm.publisher.publisher import SyntheticPublisher
from models.vocabulary.streams import Stream
from models.vocabulary.ticks import AAC_SAMPLES, SAMPLE_RATE
from tests.farm.backend import ANY_STORAGE, Backend, Json, Take
from workers.synthetic.marker import View, read
from workers.synthetic.media import UNITS_PER_S
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
    """How many units of each kind a user has sent until now."""

    pictures: int
    sounds: int

    @classmethod
    def by(cls, user: SyntheticPublisher) -> Sent:
        assert user._video is not None and user._audio is not None
        return cls(user._video._next, user._audio._next)


@dataclass(frozen=True, slots=True)
class Held:
    """What a recording has of one user."""

    pictures: int
    sounds: float  # as many of his units as long as the sound is: it is encoded anew
    first_picture: int  # its number: what was sent before lies before the recording
    sounds_before: int
    sizes: tuple[tuple[int, int], ...]  # of each picture that changed it

    def pictures_pct(self, sent: Sent) -> float:
        return 100 * self.pictures / (sent.pictures - self.first_picture)

    def sounds_pct(self, sent: Sent) -> float:
        return 100 * self.sounds / (sent.sounds - self.sounds_before)


def held(store: Path, take: Recording, uid: str, fps: int) -> Held:
    """His camera's pictures are decoded, each, and the first one's number is read."""
    count, first, sizes = 0, None, list[tuple[int, int]]()
    begins_s: dict[str, float] = {}
    sounds = 0.0
    for file in _files(store, take, Stream(uid, "video")):
        with av.open(str(file)) as source:
            for frame in source.decode(video=0):
                count += 1
                size = (frame.width, frame.height)
                if first is None:
                    marker = read(luma(frame), View(0, 0, *size, *size))
                    assert marker is not None and frame.time is not None
                    first, begins_s["video"] = marker.number, frame.time
                if not sizes or sizes[-1] != size:
                    sizes.append(size)
    for file in _files(store, take, Stream(uid, "audio")):
        with av.open(str(file)) as source:
            at_s = [float(p.pts * p.time_base) for p in source.demux(audio=0) if p.pts is not None and p.time_base]
        begins_s.setdefault("audio", at_s[0])
        sounds += len(at_s) * AAC_SAMPLES / SAMPLE_RATE * UNITS_PER_S
    assert first is not None
    before_s = first / fps + begins_s["audio"] - begins_s["video"]
    return Held(count, sounds, first, round(before_s * UNITS_PER_S), tuple(sizes))


def _files(store: Path, take: Recording, stream: Stream) -> list[Path]:
    text = (store / f"{take.sid}_{take.cname}{stream.suffix}.m3u8").read_text()
    return [store / line for line in text.splitlines() if line and not line.startswith("#")]
