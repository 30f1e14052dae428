"""Each user's streams by themselves, through the whole farm: published, copied, cut, killed, uploaded, listed."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
from PIL import Image

from tests.farm.backend import ANY_STORAGE, FPS, HEIGHT, UID, WIDTH, Backend, Take
from tests.farm.processes import UpFarm, recorder_of

STREAMS = ("audio", "video")


@dataclass(frozen=True)
class IndividualTake(Take):
    @property
    def _path(self) -> str:
        return f"/cloud_recording/resourceid/{self.resource_id}/sid/{self.sid}/mode/individual"


def started(backend: Backend, cname: str) -> IndividualTake:
    resource_id = backend.acquire(cname)
    config = {"maxIdleTime": 60, "streamTypes": 2, "subscribeUidGroup": 0, "streamMode": "standard"}
    body = {
        "cname": cname,
        "uid": UID,
        "clientRequest": {
            "recordingConfig": config,
            "storageConfig": ANY_STORAGE,
            "recordingFileConfig": {"avFileType": ["hls"]},
            "snapshotConfig": {"captureInterval": 2, "fileType": ["jpg"]},
        },
    }
    for _ in range(3):
        answer = backend.request("POST", f"/cloud_recording/resourceid/{resource_id}/mode/individual/start", body)
        if "sid" in answer.json():
            return IndividualTake(backend, cname, resource_id, answer.json()["sid"])
    raise AssertionError(answer.text)


def listed(store: Path, playlist: str) -> list[Path]:
    lines = (store / playlist).read_text().splitlines()
    return [store / line for line in lines if line and not line.startswith("#")]


def times(files: list[Path]) -> list[float]:
    found: list[float] = []
    for file in files:
        with av.open(str(file)) as source:
            found += [float(p.pts * p.time_base) for p in source.demux(0) if p.pts is not None and p.time_base]
    return found


def pictures(files: list[Path]) -> int:
    count = 0
    for file in files:
        with av.open(str(file)) as source:
            count += sum(1 for _ in source.decode(video=0))
    return count


def test_a_user_has_a_playlist_for_each_stream_that_outlives_its_recorder(farm: UpFarm) -> None:
    take = started(farm.backend, "individual")
    take.until_more(2)
    os.kill(recorder_of(take.sid, farm.worker), signal.SIGKILL)
    take.until_more(4)
    running = take.query().json()["serverResponse"]
    answer = take.stop()
    assert answer.status_code == 200, answer.text
    response: dict[str, Any] = answer.json()["serverResponse"]
    assert (response["uploadingStatus"], response["fileListMode"]) == ("uploaded", "json")
    items = response["fileList"]
    names = [f"{take.sid}_individual__uid_s_alice__uid_e_{stream}.m3u8" for stream in STREAMS]
    assert [item["fileName"] for item in items] == names
    assert [item["fileName"] for item in running["fileList"]] == names
    assert [(i["trackType"], i["uid"], i["mixedAllUser"], i["isPlayable"]) for i in items] == [
        ("audio", "alice", False, True),
        ("video", "alice", False, False),
    ]
    told = take.told()
    assert (told["status"], [tenure["epoch"] for tenure in told["tenures"]]) == (8, [1])
    for name, stream in zip(names, STREAMS, strict=True):
        holes = [h for h in told["holes"] if h["track"] == f"alice/{stream}" and h["state"] == "lost"]
        (hole,) = holes
        assert hole["cause"] == "the recorder died"
        text = (farm.store / name).read_text()
        assert text.count("#EXT-X-DISCONTINUITY\n") == 1
        assert text.endswith("#EXT-X-ENDLIST\n")
        at = times(listed(farm.store, name))
        assert at == sorted(at)
        gaps = [b - a for a, b in pairwise(at)]
        step = 1 / FPS if stream == "video" else 1024 / 48_000
        assert [g for g in gaps if g > 1.5 * step] == [max(gaps)]
        assert max(gaps) <= hole["end_s"] - hole["start_s"] + 0.1 <= 3.0
        if stream == "video":
            assert pictures(listed(farm.store, name)) == len(at)
    snapshots = sorted(farm.store.glob(f"{take.sid}_individual__uid_s_alice__uid_e_video_*.jpg"))
    assert len(snapshots) >= 3
    assert all(Image.open(snapshot).size == (WIDTH, HEIGHT) for snapshot in snapshots)
    assert "#EXT-X-MEDIA:TYPE=AUDIO" in (farm.store / f"{take.sid}_individual__uid_s_alice__uid_e_av.m3u8").read_text()
