"""The client against the gateway, over real HTTP; workers are played by hand."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from gateway.app import create_app
from models.vocabulary.states import Status
from scheduler.service import Service
from tests.scheduler.farm import APPID, CNAME, UID, Farm, Worker
from tests.servers import free_ports

reelyard = pytest.importorskip("reelyard", reason="client/ is not here")

STORAGE = reelyard.StorageConfig(vendor=1, region=0, bucket="b", access_key="AK", secret_key="planted-store-secret")
CANVAS = reelyard.TranscodingConfig(width=640, height=360, fps=15, bitrate=500, mixed_video_layout=1)
REQUEST = reelyard.StartRequest(
    storage_config=STORAGE,
    recording_config=reelyard.RecordingConfig(max_idle_time=120, transcoding_config=CANVAS),
    recording_file_config=reelyard.RecordingFileConfig(av_file_type=["hls", "mp4"]),
)


@contextmanager
def serve(service: Service) -> Iterator[str]:
    [port] = free_ports(1)
    config = uvicorn.Config(create_app(service), host="127.0.0.1", port=port, log_level="warning", lifespan="on")
    server = uvicorn.Server(config)
    up = threading.Event()
    startup = server.startup

    async def started(*args: Any, **kwargs: Any) -> None:
        await startup(*args, **kwargs)
        up.set()

    server.startup = started  # type: ignore[method-assign]  # uvicorn has no event for it, and a test does not poll
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert up.wait(10), "the gateway does not start"
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def url(sqlite_farm: Farm) -> Iterator[str]:
    with serve(sqlite_farm.service) as url:
        yield url


@pytest.fixture
def client(sqlite_farm: Farm, url: str) -> Iterator[Any]:
    with reelyard.Client(url, APPID, sqlite_farm.key, sqlite_farm.secret) as client:
        yield client


@contextmanager
def working(farm: Farm, work: Callable[[Worker, str, int], None]) -> Iterator[Worker]:
    """A node that does `work` with the first recording that it is woken up for."""
    worker, over = farm.worker(), threading.Event()

    def wait() -> None:
        while not over.wait(0.02):
            if woken := farm.messages(worker.name):
                sid, epoch = woken[0][1]
                work(worker, sid, epoch)
                return

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    try:
        yield worker
    finally:
        over.set()
        thread.join(5)


def join(worker: Worker, sid: str, epoch: int) -> None:
    worker.claim(sid, epoch)
    worker.ready(sid)


def test_a_recording_from_acquire_to_its_record(sqlite_farm: Farm, client: Any) -> None:
    with working(sqlite_farm, join) as worker:
        resource = client.acquire(CNAME, UID)
        recording = client.start(resource, REQUEST)
    assert (recording.cname, recording.uid, recording.already_started) == (CNAME, UID, False)
    assert client.query(recording).status is reelyard.Status.READY
    assert client.query(recording).files == ()

    worker.slice(recording.sid)
    state = client.query(recording)
    assert state.status is reelyard.Status.IN_PROGRESS
    assert [file.name for file in state.files] == [f"{recording.sid}_{CNAME}.m3u8"]
    assert state.slice_start_ms == 1_700_000_000_000

    assert client.start(resource, REQUEST).already_started
    assert client.start(resource, REQUEST).sid == recording.sid

    stopped = client.stop(recording, wait=False)
    assert [file.name for file in stopped.files] == [f"{recording.sid}_{CNAME}.m3u8"]
    with pytest.raises(reelyard.InvalidOperation):
        client.stop(recording)

    worker.finish(recording.sid)
    with pytest.raises(reelyard.NotFound):
        client.query(recording)
    record = client.recording(recording.sid)
    assert (record.summary.status, record.summary.mode) == (reelyard.Status.EXITED, "mix")
    assert record.segments["stored"] == 1
    assert "planted-store-secret" not in repr(record.raw)
    [line] = client.recordings(live=False).recordings
    assert (line.sid, line.reason) == (recording.sid, "stop called")
    assert client.recordings(live=True).recordings == ()


def test_a_start_that_is_slow_is_repeated_until_it_is_known_to_have_started(sqlite_farm: Farm, url: str) -> None:
    pauses_s: list[float] = []
    with reelyard.Client(url, APPID, sqlite_farm.key, sqlite_farm.secret, sleep=pauses_s.append) as client:
        sqlite_farm.settings.start_wait_ms = 50
        sqlite_farm.worker()
        recording = client.start(client.acquire(CNAME, UID), REQUEST)
    assert (recording.already_started, pauses_s) == (True, [3])
    assert sqlite_farm.recording(recording.sid).status == Status.NOT_STARTED


def test_a_farm_without_workers_is_asked_four_times(sqlite_farm: Farm, url: str) -> None:
    pauses_s: list[float] = []
    with reelyard.Client(url, APPID, sqlite_farm.key, sqlite_farm.secret, sleep=pauses_s.append) as client:
        resource = client.acquire(CNAME, UID)
        with pytest.raises(reelyard.ServerError) as refused:
            client.start(resource, REQUEST)
    assert (refused.value.code, pauses_s) == (501, [3, 6, 9])


def test_refusals_are_their_own_errors(sqlite_farm: Farm, url: str, client: Any) -> None:
    with pytest.raises(reelyard.BadRequest) as channel:
        client.acquire("no/slash", UID)
    assert channel.value.code == 1013
    resource = client.acquire(CNAME, UID)
    with pytest.raises(reelyard.BadRequest) as field:
        client.start(resource, {"storageConfig": {"vendor": "one"}})
    assert (field.value.code, "vendor" in field.value.reason) == (2, True)
    with pytest.raises(reelyard.NotFound):
        client.recording("5" * 32)
    for changes in ({"customer_secret": "wrong"}, {"customer_key": "wrong"}):
        named = {"customer_key": sqlite_farm.key, "customer_secret": sqlite_farm.secret} | changes
        with reelyard.Client(url, APPID, **named) as stranger, pytest.raises(reelyard.Unauthorized):
            stranger.recordings()
    with (
        reelyard.Client(url, "b" * 32, sqlite_farm.key, sqlite_farm.secret) as elsewhere,
        pytest.raises(reelyard.BadRequest, match="appid is invalid"),
    ):
        elsewhere.recordings()


def test_what_the_gateway_warns_of_is_told(client: Any) -> None:
    resource = client.acquire(CNAME, UID, {"fooBar": 1})
    [warning] = resource.warnings
    assert "fooBar" in warning


def test_a_publishers_token_opens_the_room(sqlite_farm: Farm, url: str) -> None:
    appid = "d" * 32
    sqlite_farm.add_app(appid, channel="whip:")
    sqlite_farm.worker(ingest_url="http://127.0.0.1:9")
    with reelyard.Client(url, appid, sqlite_farm.key, sqlite_farm.secret) as client:
        token = client.whip_token("lesson-7", "ada", ttl_s=60)
    assert token.url == f"{url}/whip/{appid}/lesson-7/ada"
    assert 0 < token.expires_s - time.time() <= 61
    offer = {"Authorization": f"Bearer {token.token}", "Content-Type": "application/sdp"}
    assert httpx.post(token.url, headers=offer, content=b"v=0").status_code == 307


def test_the_async_client_records_many_channels_at_once(sqlite_farm: Farm, url: str) -> None:
    sqlite_farm.worker()

    async def main() -> list[Any]:
        async with reelyard.AsyncClient(url, APPID, sqlite_farm.key, sqlite_farm.secret) as client:
            resources = await asyncio.gather(*(client.acquire(f"room-{n}", UID) for n in range(5)))
            page = await client.recordings()
            return [*resources, page]

    *resources, page = asyncio.run(main())
    assert [resource.cname for resource in resources] == [f"room-{n}" for n in range(5)]
    assert len({resource.resource_id for resource in resources}) == 5
    assert page.recordings == ()


def test_a_job_is_one_job_by_its_key_and_is_ended_by_it(client: Any) -> None:
    made = client.submit_job("lesson-7", CNAME, [UID, "2"], start=REQUEST, for_s=60)
    again = client.submit_job("lesson-7", CNAME, start=REQUEST)
    assert (made.new, again.new, again.job_id) == (True, False, made.job_id)
    assert (made.state, made.uids, made.raw["for_ms"]) == (reelyard.JobState.WAITING, (UID, "2"), 60_000)
    assert "planted-store-secret" not in repr(made.raw)
    assert [job.job_id for job in client.jobs(live=True).jobs] == [made.job_id]
    assert client.job(key="lesson-7") == client.job(made.job_id)
    assert client.stop_job(key="lesson-7").stop_wanted
    assert client.stop_job(made.job_id).job_id == made.job_id


def test_what_is_no_job_is_refused_by_name(client: Any) -> None:
    with pytest.raises(reelyard.NotFound, match="job not found"):
        client.job("f" * 32)
    with pytest.raises(reelyard.NotFound, match="no job of that key"):
        client.stop_job(key="lesson-8")
    with pytest.raises(reelyard.BadRequest, match="for_s"):
        client.submit_job("lesson-8", CNAME, start=REQUEST, for_s=0)
