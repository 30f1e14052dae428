"""`reelyard merge`: the single streams of a call as one MP4, judged by what a decoder makes of it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from farm.cli import main
from farm.judge.sounds import beeps
from farm.judge.users import Cell, Watched
from farm.operators.sources import NotMergeable, in_folder
from models import secrets
from models.database import Database, open_database
from models.repositories import recordings
from models.schema import upgrade
from models.settings import settings
from models.vocabulary.errors import StorageError
from models.vocabulary.spec import S3Store, StoreKeys
from models.vocabulary.ticks import audio_frame_from, frame_tick
from stores import open_store
from stores.folder import Folder
from tests import servers
from tests.individual.merged import end, recorded, shown
from tests.individual.streams import pieces, sound_files
from tests.recorder.virtual import SID, Run, scene, user
from workers.recorder.merging.recorded import Segment
from workers.recorder.merging.units import units_of
from workers.synthetic.marker import View

FPS = 15
ALONE = View(0, 0, 320, 180, 320, 180)
LEFT, RIGHT = View(0, 0, 160, 180, 320, 180), View(160, 0, 160, 180, 320, 180)
TURNED = View(0, 0, 160, 180, 360, 640)
#: A has the canvas for himself until B comes at 2 s, and again once B has left at 9 s; from 7 s to 8 s he stands upright.
A = Watched(
    1,
    "a",
    (Cell(ALONE, 0, 2), Cell(LEFT, 2, 7), Cell(TURNED, 7, 8), Cell(LEFT, 8, 9), Cell(ALONE, 9, 10)),
    ((0, 10),),
    FPS,
)
B = Watched(2, "b", (Cell(RIGHT, 2, 9),), ((2, 9),), FPS)
PICTURE = ("--layout", "best-fit", "--width", "320", "--height", "180", "--fps", str(FPS), "--bitrate", "400")


def state(folder: Path) -> Database:
    url = f"sqlite:///{folder / 'reelyard.db'}"
    upgrade(url)
    return open_database(url)


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, Database]]:
    """A grows at 5 s and turns his camera from 7 s to 8 s. B sends VP8, comes at 2 s, shows nothing from 4 s to 6 s, and leaves at 9 s."""
    folder = tmp_path_factory.mktemp("call")
    size = {"width": 320, "height": 180}
    turns = [{"at_s": at_s, "do": "rotate", "degrees": degrees} for at_s, degrees in ((7, 90), (8, 0))]
    grown = {"at_s": 5, "do": "resize", "width": 640, "height": 360}
    grows = user("a", (0, "join"), (0, "publish"), grown, *turns, **size)
    away = [{"at_s": at_s, "do": do, "what": ["video"]} for at_s, do in ((4, "unpublish"), (6, "publish"))]
    comes = user("b", (2, "join"), (2, "publish"), *away, (9, "leave"), codec="vp8", **size)
    secrets.use_keys([secrets.generate_key()])
    database = state(folder)
    run = recorded(folder, database, scene(folder, grows, comes, duration_s=10))
    yield run, database
    database.close()
    secrets.use_keys([])


@pytest.fixture(autouse=True)
def env(call: tuple[Run, Database], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    run, database = call
    monkeypatch.setenv("REELYARD_DATABASE_URL", f"sqlite:///{run.folder / 'reelyard.db'}")
    monkeypatch.setenv("REELYARD_STORES_ROOT", str(run.folder))
    settings.cache_clear()
    end(database)
    yield
    settings.cache_clear()


def merge(out: Path, *args: str) -> Result:
    return CliRunner().invoke(main, ["merge", SID[:8], "--out", str(out), *args], prog_name="reelyard")


def made(out: Path, *args: str) -> dict[str, Any]:
    done = merge(out, *args)
    assert done.exit_code == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def refused(out: Path, *args: str) -> str:
    done = merge(out, *args)
    assert (done.exit_code, done.stdout) == (1, "")
    assert list(out.parent.iterdir()) == []
    return done.stderr


def test_pictures_and_sound_of_all_stand_where_they_were_recorded(call: tuple[Run, Database], tmp_path: Path) -> None:
    run, _ = call
    told = made(tmp_path / "call.mp4", *PICTURE)
    assert {name: told[name] for name in ("sid", "duration_s", "users", "missing", "warnings")} == {
        "sid": SID, "duration_s": 10.0, "users": 2, "missing": 0, "warnings": [],
    }  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["call.mp4"]
    found = shown(tmp_path / "call.mp4", [A, B])
    assert found.ticks == [frame_tick(n, FPS) for n in range(10 * FPS)]
    assert len(found.sound) == pytest.approx(audio_frame_from(10 * 90_000) * 1024, abs=1024)
    assert found.numbers(0) == list(range(10 * FPS))
    assert found.numbers(1) == [*range(30, 60), *(30 * [59]), *range(90, 135)]
    for user_no, uid, due in ((1, "a", range(1, 10)), (2, "b", range(3, 9))):
        heard = found.beeps(user_no)[-len(due) :]  # the very first begins with its track, and may be heard or not
        before = beeps(sound_files(run, uid), [user_no])[user_no][-len(due) :]
        assert [beep.second for beep in heard] == [beep.second for beep in before] == list(due)
        assert all(abs(a.at_s - b.at_s) <= 0.001 for a, b in zip(heard, before, strict=True))
        assert all(abs(beep.at_s - second) <= 0.010 for beep, second in zip(heard, due, strict=True))


def test_a_folder_with_the_index_is_enough_and_what_is_missing_is_a_loss(
    call: tuple[Run, Database], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = call
    monkeypatch.setenv("REELYARD_DATABASE_URL", "sqlite:////nowhere/there.db")
    shutil.copytree(run.out, copied := tmp_path / "copied")
    (lost,) = [piece for piece in pieces(run, "a", "video") if piece.start_90k == 2 * 90_000]
    (copied / lost.name).unlink()
    (tmp_path / "made").mkdir()
    out = tmp_path / "made" / "call.mp4"
    said = refused(out, "--from", str(copied))
    assert lost.name in said
    assert "--skip-missing" in said
    told = made(out, "--from", str(copied), "--skip-missing", *PICTURE)
    assert (told["missing"], told["missing_s"], told["duration_s"]) == (1, 2.0, 10.0)
    numbers = shown(out, [A]).numbers(0)
    assert numbers == [*range(30), *(30 * [29]), *range(60, 150)], "his last picture is held; he is still there"
    assert "is there already" in merge(out, "--from", str(copied)).stderr
    (copied / lost.name).write_bytes(b"something else")
    out.unlink()
    assert "not what was uploaded" in refused(out, "--from", str(copied))


@pytest.mark.parametrize("name", ["list.m3u8", "list.ts", "list.webm"])
def test_a_file_that_names_others_is_no_segment(call: tuple[Run, Database], tmp_path: Path, name: str) -> None:
    run, _ = call
    (other, *_rest) = sound_files(run, "a")
    (tmp_path / name).write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{other}\n#EXT-X-ENDLIST\n")
    segment = Segment(start_s=0, end_s=2, key=name, bytes=1, md5="")
    with pytest.raises(StorageError):
        list(units_of(tmp_path / name, "a", segment, lost_before=False))


def test_no_more_of_a_file_is_read_than_was_uploaded(call: tuple[Run, Database], tmp_path: Path) -> None:
    run, _ = call
    shutil.copytree(run.out, copied := tmp_path / "copied")
    source = in_folder(copied, SID)
    segment = next(source.recorded.segments())
    with (copied / segment.key).open("ab") as file:
        file.truncate(1 << 30)
    asked: list[int | None] = []

    class Counted(Folder):
        def get_range(self, key: str, start: int = 0, end: int | None = None) -> bytes:
            asked.append(end)
            return super().get_range(key, start, end)

    with pytest.raises(NotMergeable), replace(source, store=Counted(copied)).opened(segment, tmp_path):
        pass
    assert asked == [segment.bytes + 1]


def test_what_cannot_be_merged_is_told_with_what_to_do(call: tuple[Run, Database], tmp_path: Path) -> None:
    _, database = call
    out = tmp_path / "call.mp4"
    assert "must be from 16 to 1920" in refused(out, "--width", "4")
    assert "mixedVideoLayout 3 requires" in refused(out, "--layout", "custom")
    assert f"no index {SID[:8]}….json" in refused(out, "--from", str(tmp_path))
    with database.unit() as session:
        row = recordings.lock(session, SID)
        assert row is not None
        row.status = 5
    assert "still recording or uploading" in refused(out)
    with database.unit() as session:
        row = recordings.lock(session, SID)
        assert row is not None
        row.status, row.mode = 8, "mix"
    assert "recorded as a mix" in refused(out)
    with database.unit() as session:
        row = recordings.lock(session, SID)
        assert row is not None
        row.mode = "individual"


def test_a_call_without_pictures_is_read_from_its_bucket_with_the_keys_that_are_given(
    s3: servers.S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = state(tmp_path)
    bucket = S3Store(vendor=11, bucket=s3.bucket, endpoint=s3.endpoint)
    channel = scene(tmp_path, user("a"), user("b", (1, "join"), (1, "publish")), duration_s=5)
    run = recorded(tmp_path, database, channel, stream_types=0, stream_mode="original", store=bucket)
    end(database)
    with database.unit() as session:
        recordings.wipe_secrets(session, SID)
    database.close()
    keys = StoreKeys(access_key=s3.access_key, secret_key=s3.secret_key)
    monkeypatch.setenv("REELYARD_DATABASE_URL", f"sqlite:///{tmp_path / 'reelyard.db'}")
    monkeypatch.setenv("REELYARD_ALLOW_NETWORKS", "127.0.0.0/8")
    settings.cache_clear()
    store = open_store(bucket, keys, allow_networks=settings().allow_networks)
    for path in run.out.iterdir():
        md5 = hashlib.md5(path.read_bytes()).hexdigest()
        store.put(path.name, path, md5_hex=md5, content_type="application/octet-stream")
    store.close()
    (tmp_path / "made").mkdir()
    out = tmp_path / "made" / "call.mp4"
    assert "give them as AWS_ACCESS_KEY_ID" in refused(out)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys.secret_key)
    told = made(out)
    assert (told["users"], told["duration_s"]) == (2, pytest.approx(5, abs=0.1))
    found = shown(out)
    assert found.ticks == []
    for user_no in (1, 2):
        heard = found.beeps(user_no)[-3:]  # those before begin with their track
        assert [beep.second for beep in heard] == [2, 3, 4]
        assert all(abs(beep.at_s - round(beep.at_s)) <= 0.010 for beep in heard)
