"""MP4 files of recordings that real recorders make: they show what the playlist shows, whatever died on the way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest

from models.database import Database
from models.repositories import films
from models.settings import settings
from models.tables import File
from tests.workers.rig import SID, Rig

BOTH = ("hls", "mp4")


@pytest.fixture
def short_parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("REELYARD_MP4_PART_S", "10")
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
def node(sqlite: Database, rig: Callable[[Database], Rig]) -> Rig:
    return rig(sqlite)


def parts(rig: Rig) -> list[File]:
    with rig.database.unit() as session:
        return films.of(session, SID)


def pictures(path: Path) -> list[bytes]:
    """Each decoded picture, as its luma."""
    with av.open(str(path)) as container:
        return [bytes(frame.planes[0]) for frame in container.decode(video=0)]


def sounds(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(audio=0))


def assert_films_equal_playlist(rig: Rig) -> list[Path]:
    made = [rig.store / row.key for row in parts(rig)]
    assert [pictures(path) for path in made] != []
    assert [picture for path in made for picture in pictures(path)] == pictures(rig.playlist)
    assert abs(sum(sounds(path) for path in made) - sounds(rig.playlist)) <= len(made)
    return made


def test_a_recording_with_mp4_has_one_at_its_end(node: Rig) -> None:
    node.recording(av_file_type=BOTH)
    node.dispatch()
    node.slices(1)
    assert len(list((node.folder / "spools").rglob("*.ts"))) >= 2, "slices wait on the disk for their film"
    row = node.stop()
    (film,) = assert_films_equal_playlist(node)
    (told,) = parts(node)
    assert film.name == f"{SID}_room_0.mp4"
    assert (told.bytes, told.final, told.error) == (film.stat().st_size, True, "")
    assert row.status == 8
    index = json.loads((node.store / f"{SID}_room.json").read_text())
    sizes = {told["key"]: (told["bytes"], told["md5"]) for told in [*index["files"], *index["segments"]]}
    there = {path.name: path.read_bytes() for path in node.store.iterdir() if path.name != f"{SID}_room.json"}
    assert sizes == {name: (len(body), hashlib.md5(body).hexdigest()) for name, body in there.items()}
    assert {user["uid"]: user["media"] for user in index["users"]} == {uid: ["audio", "video"] for uid in "ab"}
    assert index["final"]
    assert not list((node.folder / "spools").rglob("*.mp4*"))


def test_a_recorder_that_is_killed_costs_the_film_nothing_that_the_playlist_has(node: Rig) -> None:
    node.recording(av_file_type=BOTH)
    node.dispatch()
    node.slices(1)
    node.kill()
    node.slices(3)
    node.stop()
    assert_films_equal_playlist(node)


@pytest.mark.usefixtures("short_parts")
def test_a_long_recording_has_several_parts_made_as_it_goes_on(node: Rig) -> None:
    node.recording(av_file_type=BOTH)
    node.dispatch()
    node.until(lambda: any(row.final for row in parts(node)), "a first part", 40)
    assert node.row().status == 5
    assert len(list((node.folder / "spools").rglob("*.ts"))) <= 3
    node.stop()
    first, *_ = assert_films_equal_playlist(node)
    with av.open(str(first)) as container:
        assert abs((container.duration or 0) / 1e6 - 10) < 0.05
