"""Files of single streams, and files that lie in the backup store: all of them are listed, and fetched from where they are."""

from __future__ import annotations

from ipaddress import ip_network

import httpx
import pytest

from models.repositories import backups, files, recordings, snapshots, timeline
from models.repositories.backups import BACKUP, PRIMARY
from models.vocabulary import keys, playlist
from models.vocabulary.spec import Backup, FolderStore, Mode, RecordingSpec, S3Store, StoreKeys
from models.vocabulary.streams import Stream
from stores.base import Store
from stores.folder import Folder
from stores.opening import open_backup, open_store
from tests.gateway.test_contract import Client, over_http
from tests.gateway.test_files import ROOT, T0_MS, S, finish, folder, md5, own, put
from tests.scheduler.farm import APPID, CNAME, Farm
from tests.servers import S3Server
from workers import playlists

__all__ = ["folder"]

PICTURES, SOUND = Stream("alice", "video"), Stream("alice", "audio")


def individual(farm: Farm, store: Store) -> str:
    """Alice's pictures and sound, two slices of each, and two snapshots; Bob's snapshot is not stored yet. Still running."""
    worker = farm.worker()
    sid = farm.begin(mode=Mode.INDIVIDUAL, stream_mode="standard", subscribe_uid_group=0)
    claim = worker.claim(sid)
    with farm.database.unit() as session:
        recordings.zero(session, sid, t0_ms=T0_MS, anchor={"clock_id": "c", "zero_s": 0.0})
        for stream in (PICTURES, SOUND):
            for start_s in (0, 6):
                name = keys.stream_segment_name(sid, CNAME, stream, T0_MS, start_s * S, 1, ".ts")
                body = f"{stream.type} {start_s}".encode()
                put(store, name, body)
                where = (start_s * S, (start_s + 6) * S, name, len(body), md5(body))
                timeline.reserve(session, sid, stream.track, claim.epoch, claim.owner, *where)
                timeline.stored(session, sid, stream.track, name, store=PRIMARY)
        recordings.first_slice(session, sid)
        for uid, second in (("alice", 1), ("alice", 2), ("bob", 1)):
            name = snapshot(sid, uid, second)
            snapshots.taken(session, sid, name, track=f"{uid}/video", bytes_=4, md5=md5(b"jpeg"))
            if uid == "alice":
                put(store, name, b"jpeg")
                snapshots.stored(session, sid, name, store=PRIMARY)
        row = recordings.get(session, sid)
        assert row is not None
        made = playlists.documents(
            RecordingSpec.model_validate(row.spec), sid, timeline.tracks(session, sid),
            lambda track: timeline.publishable(session, sid, track, final=False), t0_ms=T0_MS, ended=False,
        )  # fmt: skip
    for key, text in made:
        put(store, key, text.encode())
    return sid


def snapshot(sid: str, uid: str, second: int) -> str:
    return keys.stream_segment_name(sid, CNAME, Stream(uid, "video"), T0_MS, second * S, 1, ".jpg")


def list_name(sid: str, stream: Stream) -> str:
    return keys.stream_playlist_key((), sid, CNAME, stream)


def test_streams_and_their_playlists_and_snapshots_are_listed_played_and_fetched(
    sqlite_farm: Farm, folder: Folder
) -> None:
    sid = individual(sqlite_farm, folder)
    joined = list_name(sid, Stream("alice", "av"))

    async def ask(client: Client) -> None:
        http = client.http
        told = (await http.get(f"{ROOT}/recordings/{sid}/files")).json()
        assert (told["mode"], told["recorded_s"], told["snapshots"]) == ("individual", 12.0, 3)
        lists = {list_name(sid, PICTURES), list_name(sid, SOUND), joined}
        assert {(f["name"], f["kind"], f["state"], f["duration_s"]) for f in told["files"]} == {
            (name, "playlist", "writing", 12.0) for name in lists
        }
        assert [(s["track"], s["start_s"]) for s in told["segments"]] == [
            ("alice/audio", 0.0), ("alice/audio", 6.0), ("alice/video", 0.0), ("alice/video", 6.0),
        ]  # fmt: skip
        pages, after = [], ""
        while after is not None:
            asked: dict[str, str | int] = {"track": PICTURES.track, "limit": 1, "after": after}
            page = (await http.get(f"{ROOT}/recordings/{sid}/files", params=asked)).json()
            pages += page["segments"]
            after = page["next"]
        assert [(s["track"], s["start_s"]) for s in pages] == [("alice/video", 0.0), ("alice/video", 6.0)]

        seen = (await http.get(f"{ROOT}/recordings/{sid}/snapshots", params={"limit": 2})).json()
        assert [(s["name"], s["uid"], s["state"]) for s in seen["snapshots"]] == [
            (snapshot(sid, "alice", n), "alice", "stored") for n in (1, 2)
        ]
        rest = (await http.get(f"{ROOT}/recordings/{sid}/snapshots", params={"after": seen["next"]})).json()
        assert ([s["state"] for s in rest["snapshots"]], rest["next"]) == (["writing"], None)
        bobs = (await http.get(f"{ROOT}/recordings/{sid}/snapshots", params={"uid": "bob"})).json()
        assert [s["name"] for s in bobs["snapshots"]] == [snapshot(sid, "bob", 1)]
        fetched = await http.get(f"{ROOT}/recordings/{sid}/files/{snapshot(sid, 'alice', 1)}")
        assert (fetched.content, fetched.headers["content-type"]) == (b"jpeg", "image/jpeg")
        assert (await http.get(f"{ROOT}/recordings/{sid}/files/{snapshot(sid, 'bob', 1)}")).status_code == 404

        link = (await http.get(f"{ROOT}/recordings/{sid}/link")).json()
        assert {one["name"] for one in link["playlists"]} == lists
        assert link["playlist"] == link["playlists"][0]["path"]
        anybody = httpx.AsyncClient(transport=http._transport, base_url="http://gateway")
        both = await anybody.get(link["playlist"])
        named = [line for line in both.text.splitlines() if not line.startswith("#")]
        named += [line.partition('URI="')[2].rstrip('"') for line in both.text.splitlines() if "URI=" in line]
        assert len(named) == 2
        for each in named:
            stream = await anybody.get(str(both.url.join(each)))
            assert stream.status_code == 200, stream.text
            slices = [line for line in stream.text.splitlines() if not line.startswith("#")]
            bodies = [(await anybody.get(str(stream.url.join(one)))).content for one in slices]
            assert len(bodies) == 2 and all(body.partition(b" ")[0] in (b"audio", b"video") for body in bodies)

    over_http(sqlite_farm, ask)


def test_a_recording_of_snapshots_alone_is_listed(sqlite_farm: Farm, folder: Folder) -> None:
    sqlite_farm.worker()
    sid = sqlite_farm.begin(mode=Mode.INDIVIDUAL, subscribe_uid_group=0)

    async def ask(client: Client) -> None:
        assert (await client.http.get(f"{ROOT}/files")).json()["recordings"] == []
        with sqlite_farm.database.unit() as session:
            snapshots.taken(session, sid, snapshot(sid, "alice", 1), track="alice/video", bytes_=4, md5=md5(b"jpeg"))
        (one,) = (await client.http.get(f"{ROOT}/files")).json()["recordings"]
        assert (one["sid"], one["snapshots"], one["files"]) == (sid, 1, [])
        link = (await client.http.get(f"{ROOT}/recordings/{sid}/link")).json()
        assert (link["playlist"], link["playlists"]) == ("", [])

    over_http(sqlite_farm, ask)


@pytest.fixture
def backup(sqlite_farm: Farm, s3: S3Server) -> Backup:
    """The operator's: a bucket."""
    address = S3Store(vendor=11, bucket=s3.bucket, endpoint=s3.endpoint)
    more = {
        "backup_store": address,
        "backup_keys": type(sqlite_farm.settings.backup_keys)(f"{s3.access_key}:{s3.secret_key}"),
        "allow_networks": (ip_network("127.0.0.0/8"),),
    }
    sqlite_farm.settings = sqlite_farm.settings.model_copy(update=more)
    made = sqlite_farm.settings.backup
    assert made is not None
    return made


def half_backed(farm: Farm, store: Store, backup: Backup | None) -> str:
    """A recording that has ended while the customer's store failed: the second slice, the MP4 and the last words are in the
    backup store.
    """
    worker = farm.worker()
    sid = farm.begin()
    claim = worker.claim(sid)
    own_copy = None if backup is None else open_backup(backup)
    entries = []
    with farm.database.unit() as session:
        recordings.zero(session, sid, t0_ms=T0_MS, anchor={"clock_id": "c", "zero_s": 0.0})
        for start_s, where in ((0, PRIMARY), (6, BACKUP)):
            key, body = f"{sid}_{start_s}.ts", f"slice {start_s}".encode()
            ticks = (start_s * S, (start_s + 6) * S)
            entries.append(playlist.Entry(*ticks, key))
            timeline.reserve(session, sid, "mix", claim.epoch, claim.owner, *ticks, key, len(body), md5(body))
            timeline.stored(session, sid, "mix", key, store=where)
            backups.told(session, sid, key, where)
            if where == PRIMARY:
                put(store, key, body)
            elif own_copy is not None:
                put(own_copy, keys.backup_key(APPID, key), body)
        recordings.first_slice(session, sid)
        text = playlist.render(entries, t0_ms=T0_MS, slice_s=6, ended=True).encode()
        name, film = keys.playlist_key((), sid, CNAME), f"{sid}_{CNAME}_0.mp4"
        files.wrote(session, sid, film, "mp4", bytes_=8, md5=md5(b"all of i"), final=True, store=BACKUP)
        backups.told(session, sid, film, BACKUP)
        files.wrote(session, sid, name, "playlist", bytes_=len(text), md5=md5(text), final=True, store=BACKUP)
        backups.hold(session, sid, keys.held_back_key(name), "held", bytes_=len(text), md5=md5(text))
    if own_copy is not None:
        put(own_copy, keys.backup_key(APPID, film), b"all of i")
        put(own_copy, keys.backup_key(APPID, keys.held_back_key(name)), text)
    finish(farm, sid)
    return sid


def test_what_still_lies_in_the_backup_store_is_played_and_fetched_from_there(
    sqlite_farm: Farm, s3: S3Server, backup: Backup
) -> None:
    address = S3Store(vendor=11, bucket=s3.bucket, endpoint=s3.endpoint)
    store_keys = StoreKeys(access_key=s3.access_key, secret_key=s3.secret_key)
    own(sqlite_farm, address, store_keys)
    store = open_store(address, store_keys, allow_networks=(ip_network("127.0.0.0/8"),))
    sid = half_backed(sqlite_farm, store, backup)

    async def ask(client: Client) -> None:
        http = client.http
        played = await http.get(f"{ROOT}/recordings/{sid}/play/{sid}_{CNAME}.m3u8")
        assert played.status_code == 200, played.text
        addresses = [line for line in played.text.splitlines() if not line.startswith("#")]
        async with httpx.AsyncClient() as web:
            assert [(await web.get(one)).content for one in addresses] == [b"slice 0", b"slice 6"]
            film = await http.get(f"{ROOT}/recordings/{sid}/files/{sid}_{CNAME}_0.mp4", params={"for_s": 60})
            assert film.status_code == 307
            assert (await web.get(film.headers["location"])).content == b"all of i"
        assert f"/{APPID}/" in addresses[1] and f"/{APPID}/" not in addresses[0]
        listed = (await http.get(f"{ROOT}/recordings/{sid}/files")).json()
        assert {file["name"]: file["store"] for file in [*listed["files"], *listed["segments"]]} == {
            f"{sid}_{CNAME}.m3u8": "backup", f"{sid}_{CNAME}_0.mp4": "backup", f"{sid}_0.ts": "primary",
            f"{sid}_6.ts": "backup",
        }  # fmt: skip

    over_http(sqlite_farm, ask)


def test_a_gateway_without_the_backup_store_says_where_a_file_is_and_to_ask_again(
    sqlite_farm: Farm, folder: Folder
) -> None:
    sid = half_backed(sqlite_farm, folder, None)

    async def ask(client: Client) -> None:
        for path in (f"files/{sid}_6.ts", f"files/{sid}_{CNAME}_0.mp4", f"play/{sid}_{CNAME}.m3u8"):
            answer = await client.http.get(f"{ROOT}/recordings/{sid}/{path}")
            assert (answer.status_code, answer.json()["code"]) == (503, 9403), path
            assert answer.headers["retry-after"] == "30"
        assert (await client.http.get(f"{ROOT}/recordings/{sid}/files/{sid}_0.ts")).content == b"slice 0"

    over_http(sqlite_farm, ask)


def test_a_file_in_a_customers_store_is_found_with_the_customers_keys(sqlite_farm: Farm, s3: S3Server) -> None:
    networks = (ip_network("127.0.0.0/8"),)
    sqlite_farm.settings = sqlite_farm.settings.model_copy(update={"allow_networks": networks})
    address = S3Store(vendor=11, bucket=s3.bucket, endpoint=s3.endpoint)
    own(sqlite_farm, address, StoreKeys(access_key=s3.access_key, secret_key=s3.secret_key))
    sqlite_farm.worker()
    sid = sqlite_farm.begin()
    film = f"{sid}_{CNAME}_0.mp4"
    with sqlite_farm.database.unit() as session:
        files.wrote(session, sid, film, "mp4", bytes_=4, md5=md5(b"film"), final=True)
        recordings.wipe_secrets(session, sid)
    put(
        open_store(address, StoreKeys(access_key=s3.access_key, secret_key=s3.secret_key), allow_networks=networks),
        film,
        b"film",
    )
    own(sqlite_farm, FolderStore(path="elsewhere"))

    async def ask(client: Client) -> None:
        where = f"{ROOT}/recordings/{sid}/files/{film}"
        sealed = await client.http.get(where)
        assert (sealed.status_code, sealed.json()["code"]) == (403, 9402)
        given = {"accessKey": s3.access_key, "secretKey": s3.secret_key}
        found = await client.http.post(where, json=given)
        assert found.status_code == 303, found.text
        assert s3.secret_key not in found.headers["location"]
        async with httpx.AsyncClient() as web:
            assert (await web.get(found.headers["location"])).content == b"film"

    over_http(sqlite_farm, ask)
