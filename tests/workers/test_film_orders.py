"""Which films are ordered, by whom: every part once, whoever dies, and who cannot be read back is filmed before he goes."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from models.database import Database
from models.repositories import films, recordings, resources, tenures, timeline
from models.tables import File
from models.vocabulary import journal, pipe
from models.vocabulary.spec import RecordingSpec, Secrets
from models.vocabulary.states import Role, TenureState
from tests.models.farm import APPID, app, spec
from workers.bookkeeping import Grantee
from workers.films import Films

SID, NODE = "7" * 32, "n1"
S = 90_000


@dataclass
class Tenure:
    database: Database
    epoch: int
    owner: str
    said: list[pipe.Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.films = Films(Grantee(SID, self.epoch, self.owner), self.database, self.said.append)

    def slices(self, first: int, end: int) -> None:
        """Hours [first, end), an hour each, stored."""
        with self.database.unit() as session:
            for n in range(first, end):
                where = (n * 3_600 * S, (n + 1) * 3_600 * S, f"{SID}_{n}.ts")
                timeline.reserve(session, SID, "mix", self.epoch, self.owner, *where, 250_000_000, "0" * 32)
                timeline.stored(session, SID, "mix", where[2], store="primary")

    def end(self) -> None:
        with self.database.unit() as session:
            tenures.end(session, SID, self.epoch, self.owner, "killed")

    def made(self) -> None:
        """The recorder has done what it was told."""
        with self.database.unit() as session:
            for order in self.orders():
                film = journal.Film(key=order.key, file="x", start_90k=0, end_90k=1, bytes=5, md5="0" * 32)
                films.made(session, SID, film)
                films.stored(session, SID, order.key, store="primary")

    def orders(self) -> list[pipe.Film]:
        return [message for message in self.said if isinstance(message, pipe.Film)]

    def hours(self) -> list[tuple[str, list[int]]]:
        return [(o.key[33:], [shot.start_90k // (3_600 * S) for shot in o.shots]) for o in self.orders()]


@pytest.fixture
def wanted(sqlite: Database) -> RecordingSpec:
    asked = spec(av_file_type=("hls", "mp4"))
    with sqlite.unit() as session:
        app(session)
        resource = resources.acquire(session, appid=APPID, cname="room", uid="1", options={}, ttl_ms=300_000)
        recordings.create(session, sid=SID, resource=resource, spec=asked, secrets=Secrets(), weight=100)
    return asked


def tenure(database: Database, role: Role = Role.PRIMARY) -> Tenure:
    with database.unit() as session:
        epoch = tenures.place(session, SID, role=role, node=NODE, weight=100, deadline_ms=60_000)
    with database.unit() as session:
        row = next(t for t in tenures.of(session, SID) if t.epoch == epoch)
        row.state, row.owner = TenureState.LIVE, f"{epoch:032x}"
    return Tenure(database, epoch, f"{epoch:032x}")


def parts(database: Database) -> list[File]:
    with database.unit() as session:
        return films.of(session, SID)


def test_full_parts_are_ordered_while_it_records_and_the_rest_at_the_end(
    sqlite: Database, wanted: RecordingSpec
) -> None:
    first = tenure(sqlite)
    first.slices(0, 2)
    first.films.order_full(wanted)
    assert first.hours() == [], "it could still grow"
    first.slices(2, 5)
    for _ in range(2):
        first.films.order_full(wanted)
    assert first.hours() == [("room_0.mp4", [0, 1]), ("room_1.mp4", [2, 3])]
    assert not first.films.order_all(wanted)
    assert first.hours()[2:] == [("room_2.mp4", [4])]
    first.made()
    assert first.films.order_all(wanted)
    assert [part.final for part in parts(sqlite)] == [True] * 3


def test_what_a_dead_tenure_left_undone_is_done_by_the_next(sqlite: Database, wanted: RecordingSpec) -> None:
    first = tenure(sqlite)
    first.slices(0, 3)
    first.films.order_full(wanted)
    first.end()
    last = tenure(sqlite, Role.FINALISER)
    assert not last.films.order_all(wanted)
    assert last.hours() == [("room_0.mp4", [0, 1]), ("room_1.mp4", [2])]
    last.made()
    assert last.films.order_all(wanted)


def test_a_tenure_that_hands_on_films_its_own_where_nobody_could_read_it_back(
    sqlite: Database, wanted: RecordingSpec
) -> None:
    first = tenure(sqlite)
    first.slices(0, 1)
    second = tenure(sqlite)
    second.slices(1, 2)
    assert not first.films.order_mine(wanted)
    assert first.hours() == [("room_0.mp4", [0])]
    assert not second.films.order_all(wanted), "the first one's is still being made, and is its own"
    assert second.hours() == [("room_1.mp4", [1])]
    first.made()
    assert first.films.order_mine(wanted)
    second.made()
    assert second.films.order_all(wanted)


def test_a_new_recorder_process_is_told_again(sqlite: Database, wanted: RecordingSpec) -> None:
    first = tenure(sqlite)
    first.slices(0, 1)
    first.films.order_all(wanted)
    first.films.start_over()
    first.films.order_all(wanted)
    assert [key for key, _ in first.hours()] == ["room_0.mp4", "room_0.mp4"]
    assert len(parts(sqlite)) == 1


def test_a_recording_without_mp4_orders_nothing(sqlite: Database, wanted: RecordingSpec) -> None:
    first = tenure(sqlite)
    first.slices(0, 3)
    assert first.films.order_all(wanted.model_copy(update={"av_file_type": ("hls",)}))
    assert (first.orders(), parts(sqlite)) == ([], [])


def rushes(tenure: Tenure) -> list[tuple[int, list[int]]]:
    told = [message for message in tenure.said if isinstance(message, pipe.Rushes)]
    return [(r.n, [shot.start_90k // (3_600 * S) for shot in r.shots]) for r in told]


def test_of_the_part_that_grows_the_recorder_is_shown_what_is_new(sqlite: Database, wanted: RecordingSpec) -> None:
    first = tenure(sqlite)
    for n in range(4):
        first.slices(n, n + 1)
        for _ in range(2):
            first.films.order_full(wanted)
    # Two hours are a part: with the third it is full and ordered, and the next one begins.
    assert rushes(first) == [(0, [0]), (1, [1]), (0, [2]), (1, [3])]
    assert first.hours() == [("room_0.mp4", [0, 1])]
    first.films.start_over()
    first.films.order_full(wanted)
    assert rushes(first)[-1] == (0, [2, 3])


def test_who_takes_over_is_shown_what_others_have_recorded(sqlite: Database, wanted: RecordingSpec) -> None:
    first = tenure(sqlite)
    first.slices(0, 1)
    first.films.order_full(wanted)
    second = tenure(sqlite)
    second.slices(1, 2)
    second.films.order_full(wanted)
    assert rushes(second) == [(0, [0, 1])]


def test_who_is_not_the_writer_hears_of_what_others_have_made_once(sqlite: Database, wanted: RecordingSpec) -> None:
    first = tenure(sqlite)
    standby = tenure(sqlite, Role.STANDBY)
    first.slices(0, 3)
    first.films.order_full(wanted)
    standby.films.follow(wanted)
    assert standby.said == [], "it is not made yet"
    first.made()
    for _ in range(2):
        standby.films.follow(wanted)
    (told,) = standby.said
    assert isinstance(told, pipe.Filmed)
    assert (told.start_90k, told.end_90k) == (0, 2 * 3_600 * S)
