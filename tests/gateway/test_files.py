"""Files over HTTP: listed by channel and time, played from a private bucket, downloaded in pieces, deleted, kept for so long."""

from __future__ import annotations

import asyncio
import hashlib
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import av
import httpx
import pytest

from gateway.runtime import SQL_THREADS
from models.database import shift_time
from models.repositories import apps, files, recordings
from models.vocabulary import keys, playlist
from models.vocabulary.spec import FolderStore, S3Store, StoreAddress, StoreKeys
from models.vocabulary.states import Status
from scheduler.retention import Retention
from stores.base import Store
from stores.folder import Folder
from stores.opening import open_store
from tests.gateway.test_contract import Client, over_http
from tests.pull.servers import listening
from tests.scheduler.farm import APPID, CNAME, Farm
from tests.segment.scripted import Tenure, full, in_order, numbered, spec, tones
from tests.servers import S3Server

S = 90_000
T0_MS = 1_700_000_000_000
ROOT = f"/v1/apps/{APPID}"


def recorded(farm: Farm, store: Store, slices: list[tuple[int, int, bytes]], *, cname: str = CNAME) -> str:
    """A recording whose rows and objects are there, still running; its sid. Slices: (start s, end s, bytes)."""
    worker = farm.worker()
    sid = farm.begin(cname)
    worker.claim(sid)
    entries = []
    for start_s, end_s, body in slices:
        worker.slice(sid, start_s, end_s)
        key = f"{sid}_{start_s}.ts"
        put(store, key, body)
        entries.append(playlist.Entry(start_s * S, end_s * S, key))
    name = keys.playlist_key((), sid, cname)
    text = playlist.render(entries, t0_ms=T0_MS, slice_s=6, ended=True)
    for key, kind, body in ((name, "playlist", text.encode()), (f"{sid}_{cname}_0.mp4", "mp4", b"0123456789" * 10)):
        put(store, key, body)
        with farm.database.unit() as session:
            files.wrote(session, sid, key, kind, bytes_=len(body), md5=md5(body), final=True)  # type: ignore[arg-type] # of two literals
    return sid


def finish(farm: Farm, sid: str) -> None:
    with farm.database.unit() as session:
        for status in (Status.STOPPING, Status.STOPPED, Status.EXITED):
            recordings.advance(session, sid, expect=None, to=status, cause="stop called", epoch=1)


def put(store: Store, key: str, body: bytes) -> None:
    store.put(key, body, md5_hex=md5(body), content_type="application/octet-stream")


def md5(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()


@pytest.fixture
def folder(sqlite_farm: Farm, tmp_path: Path) -> Folder:
    sqlite_farm.settings = sqlite_farm.settings.model_copy(update={"stores_root": tmp_path})
    own(sqlite_farm, FolderStore(path="files"))
    return Folder(tmp_path / "files")


def own(farm: Farm, store: StoreAddress, store_keys: StoreKeys | None = None) -> None:
    with farm.database.unit() as session:
        app = apps.get(session, APPID)
        app.store = store.model_dump(mode="json")
        app.store_keys = None if store_keys is None else store_keys.model_dump(mode="json")


SLICES = [(0, 6, b"first"), (6, 12, b"second")]


def test_files_are_listed_by_channel_and_time_and_by_their_owner_alone(sqlite_farm: Farm, folder: Folder) -> None:
    sid = recorded(sqlite_farm, folder, SLICES)
    other = recorded(sqlite_farm, folder, SLICES, cname="other")

    async def ask(client: Client) -> None:
        http = client.http
        listed = (await http.get(f"{ROOT}/files")).json()["recordings"]
        assert [one["sid"] for one in listed] == [other, sid]
        (one,) = (await http.get(f"{ROOT}/files", params={"cname": CNAME})).json()["recordings"]
        assert {file["name"]: (file["kind"], file["bytes"], file["state"]) for file in one["files"]} == {
            f"{sid}_{CNAME}_0.mp4": ("mp4", 100, "stored"),
            f"{sid}_{CNAME}.m3u8": ("playlist", one["files"][0]["bytes"], "stored"),
        }
        assert one["own_store"] is True
        first = await http.get(f"{ROOT}/files", params={"limit": 1})
        assert first.json()["next"] == other
        second = await http.get(f"{ROOT}/files", params={"limit": 1, "before": other})
        assert [one["sid"] for one in second.json()["recordings"]] == [sid]
        assert (await http.get(f"{ROOT}/files", params={"to_ms": 1})).json()["recordings"] == []
        whole = (await http.get(f"{ROOT}/recordings/{sid}/files", params={"limit": 1})).json()
        assert [(s["name"], s["bytes"]) for s in whole["segments"]] == [(f"{sid}_0.ts", 1000)]
        rest = (await http.get(f"{ROOT}/recordings/{sid}/files", params={"after": whole["next"]})).json()
        assert [s["start_s"] for s in rest["segments"]] == [6.0]
        for path in (
            "files",
            f"recordings/{sid}/files",
            f"recordings/{sid}/link",
            f"recordings/{sid}/files/{sid}_0.ts",
        ):
            assert (await http.get(f"{ROOT}/{path}", auth=httpx.BasicAuth("no", "body"))).status_code == 401

    over_http(sqlite_farm, ask)


def test_a_link_plays_and_downloads_one_recording_from_a_folder_and_nothing_else(
    sqlite_farm: Farm, folder: Folder
) -> None:
    sid = recorded(sqlite_farm, folder, SLICES)
    other = recorded(sqlite_farm, folder, SLICES, cname="other")
    put(folder, "secret.txt", b"not of any recording")

    async def ask(client: Client) -> None:
        link = (await client.http.get(f"{ROOT}/recordings/{sid}/link")).json()
        anybody = httpx.AsyncClient(transport=client.http._transport, base_url="http://gateway")
        played = await anybody.get(link["playlist"])
        assert (played.status_code, played.headers["content-type"]) == (200, playlist.CONTENT_TYPE)
        assert played.headers["access-control-allow-origin"] == "*"
        named = [line for line in played.text.splitlines() if not line.startswith("#")]
        bodies = [(await anybody.get(urljoin(str(played.url), name))) for name in named]
        # Their rows say 1000 bytes, the objects have fewer: what is there is sent, and the connection says it is short.
        assert len(bodies) == 2
        (mp4,) = link["files"]
        part = await anybody.get(mp4["path"], headers={"Range": "bytes=5-14"})
        assert (part.status_code, part.content) == (206, b"5678901234")
        assert part.headers["content-range"] == "bytes 5-14/100"
        assert (await anybody.get(mp4["path"], headers={"Range": "bytes=-3"})).content == b"789"
        assert (await anybody.get(mp4["path"], headers={"Range": "bytes=100-"})).status_code == 416
        assert len((await anybody.get(mp4["path"])).content) == 100
        token = link["token"]
        stranger = f"{ROOT}/recordings/{other}/files/{other}_0.ts"
        assert (await anybody.get(stranger, params={"token": token})).status_code == 401
        assert (await anybody.get(mp4["path"][:-1] + "x")).status_code == 401
        assert (await anybody.get(f"{ROOT}/files", params={"token": token})).status_code == 401
        for name in ("secret.txt", "..%2Fsecret.txt", "%2e%2e", f"{other}_0.ts", "x" * 255):
            answer = await anybody.get(f"{ROOT}/recordings/{sid}/files/{name}", params={"token": token})
            assert answer.status_code in (400, 404), name

    over_http(sqlite_farm, ask)


def test_what_is_deleted_is_gone_from_the_store_and_its_record_says_so(sqlite_farm: Farm, folder: Folder) -> None:
    sid = recorded(sqlite_farm, folder, SLICES)
    kept = recorded(sqlite_farm, folder, SLICES, cname="other")

    async def ask(client: Client) -> None:
        http = client.http
        running = await http.delete(f"{ROOT}/recordings/{sid}/files")
        assert (running.status_code, running.json()["code"]) == (400, 49)
        finish(sqlite_farm, sid)
        one = await http.delete(f"{ROOT}/recordings/{sid}/files/{sid}_{CNAME}_0.mp4")
        assert one.status_code == 202
        await asyncio.to_thread(Retention(sqlite_farm.database, sqlite_farm.settings).turn)
        assert f"{sid}_{CNAME}_0.mp4" not in folder.list()
        assert f"{sid}_0.ts" in folder.list()
        assert (await http.delete(f"{ROOT}/recordings/{sid}/files/{sid}_0.ts")).json()["code"] == 49
        assert (await http.delete(f"{ROOT}/recordings/{sid}/files")).status_code == 202
        await asyncio.to_thread(Retention(sqlite_farm.database, sqlite_farm.settings).turn)
        assert {key for key in folder.list() if key.startswith(sid)} == set()
        assert len([key for key in folder.list() if key.startswith(kept)]) == 4
        told = (await http.get(f"{ROOT}/recordings/{sid}/files")).json()
        assert {f["state"] for f in [*told["files"], *told["segments"]]} == {"deleted"}
        assert (await http.get(f"{ROOT}/recordings/{sid}/files/{sid}_0.ts")).json()["code"] == 404

    over_http(sqlite_farm, ask)


def test_files_that_were_kept_long_enough_go_and_records_live_as_long_as_files(
    sqlite_farm: Farm, folder: Folder
) -> None:
    sid = recorded(sqlite_farm, folder, SLICES)
    finish(sqlite_farm, sid)
    shift_time(sqlite_farm.database, 29 * 86_400_000 + 43_200_000)
    Retention(sqlite_farm.database, sqlite_farm.settings).turn()
    shift_time(sqlite_farm.database, 40 * 86_400_000)
    with sqlite_farm.database.unit() as session:
        assert recordings.delete_old(session) == 0
        app = apps.get(session, APPID)
        app.behaviour = app.behaviour | {"keep_files_days": 30}
    assert len(folder.list()) == 4
    Retention(sqlite_farm.database, sqlite_farm.settings).turn()
    assert folder.list() == []


def test_a_store_that_is_broken_keeps_nobody_elses_files_from_their_deletion(
    sqlite_farm: Farm, folder: Folder, tmp_path: Path
) -> None:
    broken, sid = sorted(recorded(sqlite_farm, folder, SLICES, cname=cname) for cname in ("one", "other"))
    (tmp_path / "broken").write_text("no folder")
    store = FolderStore(path="broken")
    with sqlite_farm.database.unit() as session:
        apps.add(session, appid="b" * 32, name="", channel="", store=store)
        row = recordings.get(session, broken)
        assert row is not None
        row.appid, row.spec = "b" * 32, row.spec | {"store": store.model_dump(mode="json")}
        for each in (broken, sid):
            files.doom(session, each)
    now_s = 0.0
    retention = Retention(sqlite_farm.database, sqlite_farm.settings, now_s=lambda: now_s)
    for _ in range(3):
        retention.turn()
    assert not [key for key in folder.list() if key.startswith(sid)]
    (tmp_path / "broken").unlink()
    retention.turn()
    with sqlite_farm.database.unit() as session:
        assert files.doomed(session) == (broken, "b" * 32), "it is left alone for a while"
    now_s = 61.0
    retention.turn()
    with sqlite_farm.database.unit() as session:
        assert files.doomed(session) is None


def test_a_store_that_hangs_ends_its_turn(sqlite_farm: Farm, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.retention.TURN_S", 0.5)
    sid = recorded(sqlite_farm, folder, SLICES)
    networks = (ip_network("127.0.0.0/8"),)
    settings = sqlite_farm.settings.model_copy(update={"allow_networks": networks})

    async def story() -> None:
        async with listening(drip) as port:
            point(sqlite_farm, sid, port)
            with sqlite_farm.database.unit() as session:
                files.doom(session, sid)
            retention = Retention(sqlite_farm.database, settings)
            await asyncio.wait_for(asyncio.to_thread(retention.turn), 15)
            assert retention._alone, "and is left alone"

    asyncio.run(story())


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A store whose answers never end."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


def point(farm: Farm, sid: str, port: int) -> None:
    """The app and the recording to a bucket there."""
    store = S3Store(vendor=11, bucket="bucket", endpoint=f"http://127.0.0.1:{port}")
    own(farm, store, StoreKeys(access_key="key", secret_key="secret"))
    with farm.database.unit() as session:
        row = recordings.get(session, sid)
        assert row is not None
        row.spec = row.spec | {"store": store.model_dump(mode="json")}


def test_a_store_that_hangs_keeps_no_other_request_waiting(
    sqlite_farm: Farm, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduler.whereabouts.WITHIN_S", 2.0)
    sid = recorded(sqlite_farm, folder, SLICES)
    networks = (ip_network("127.0.0.0/8"),)
    sqlite_farm.settings = sqlite_farm.settings.model_copy(update={"allow_networks": networks})

    async def ask(client: Client) -> None:
        async with listening(drip) as port:
            point(sqlite_farm, sid, port)
            url = f"{ROOT}/recordings/{sid}/play/{sid}_{CNAME}.m3u8"
            hanging = [asyncio.create_task(client.http.get(url)) for _ in range(SQL_THREADS + 1)]
            await asyncio.sleep(0.3)
            assert (await client.http.get(f"{ROOT}/recordings/{sid}")).status_code == 200
            assert not any(task.done() for task in hanging)
            assert {answer.status_code // 100 for answer in await asyncio.gather(*hanging)} == {5}, "in the end, too"

    over_http(sqlite_farm, ask)


def private(s3: S3Server) -> S3Store:
    return S3Store(vendor=11, bucket=s3.bucket, endpoint=s3.endpoint)


def test_a_private_bucket_is_played_through_addresses_that_its_store_signed(
    sqlite_farm: Farm, s3: S3Server, tmp_path: Path
) -> None:
    made = Tenure(spec(), tmp_path / "slices")
    made.programme.show(full())
    made.play(in_order(numbered(60, 15), tones(4)), 4 * S)
    made.programme.finish(4 * S)
    address, store_keys = private(s3), StoreKeys(access_key=s3.access_key, secret_key=s3.secret_key)
    networks = (ip_network("127.0.0.0/8"),)
    sqlite_farm.settings = sqlite_farm.settings.model_copy(update={"allow_networks": networks})
    own(sqlite_farm, address, store_keys)
    store = open_store(address, store_keys, allow_networks=networks)
    slices = [(s.start_90k // S, s.end_90k // S, s.path.read_bytes()) for s in made.slices]
    sid = recorded(sqlite_farm, store, slices)
    name = f"{sid}_{CNAME}.m3u8"

    async def ask(client: Client) -> None:
        link = (await client.http.get(f"{ROOT}/recordings/{sid}/link")).json()
        anybody = httpx.AsyncClient(transport=client.http._transport, base_url="http://gateway")
        played = await anybody.get(link["playlist"])
        assert played.status_code == 200, played.text
        segments = [line for line in played.text.splitlines() if not line.startswith("#")]
        async with httpx.AsyncClient() as web:
            assert [(await web.get(url)).content for url in segments] == [body for _, _, body in slices]
            assert (await web.get(segments[0].partition("?")[0])).status_code == 403, "the bucket is private"
            mp4 = await anybody.get(link["files"][0]["path"])
            assert mp4.status_code == 307
            assert (await web.get(mp4.headers["location"])).content == b"0123456789" * 10
        brief = (await client.http.get(f"{ROOT}/recordings/{sid}/link?for_s=60")).json()
        signed = (await anybody.get(f"{brief['playlist']}&for_s=604800")).text.splitlines()
        signed.append((await anybody.get(f"{brief['files'][0]['path']}&for_s=604800")).headers["location"])
        good_s = [int(s) for line in signed for s in parse_qs(urlsplit(line).query).get("X-Amz-Expires", [])]
        assert len(good_s) == 3 and max(good_s) <= 60, "nothing that a link gives outlives it"
        assert (await anybody.get(f"{brief['playlist']}&for_s=604801")).json()["code"] == 2
        (tmp_path / "signed.m3u8").write_text(played.text)
        # A customer's own store, its keys wiped: with keys in the request, and not without.
        own(sqlite_farm, FolderStore(path="elsewhere"))
        with sqlite_farm.database.unit() as session:
            recordings.wipe_secrets(session, sid)
        sealed = await client.http.get(f"{ROOT}/recordings/{sid}/play/{name}")
        assert (sealed.status_code, sealed.json()["code"]) == (403, 9402)
        given = {"accessKey": s3.access_key, "secretKey": s3.secret_key}
        again = await client.http.post(f"{ROOT}/recordings/{sid}/play/{name}", json=given)
        assert again.status_code == 200
        assert s3.secret_key not in again.text
        gone = await client.http.delete(f"{ROOT}/recordings/{sid}/files")
        assert (gone.status_code, gone.json()["code"]) == (400, 49)

    over_http(sqlite_farm, ask)
    allowed = {"protocol_whitelist": "file,http,tcp,crypto,data", "allowed_extensions": "ALL", "extension_picky": "0"}
    with av.open(str(tmp_path / "signed.m3u8"), options=allowed) as container:
        assert sum(1 for _ in container.decode(video=0)) == 60
