"""Rooms: order of events, snapshots, many recorders."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from models.vocabulary.channel import ChannelEvent, EventKind, Track, TrackKind, TrackSource, Unit, User
from models.vocabulary.errors import Overloaded
from workers.ingest import room as rooms_module
from workers.ingest.room import Room, RoomName, Rooms

NAME = RoomName("app", "room")
ALICE = User("alice")


@dataclass(eq=False)
class Notes:
    events: list[ChannelEvent] = field(default_factory=list)

    def happened(self, event: ChannelEvent) -> None:
        self.events.append(event)


def track(n: int, user: str = "alice") -> Track:
    return Track(f"t{n}", user, TrackKind.VIDEO, TrackSource.CAMERA, "h264")


def kinds(events: list[ChannelEvent]) -> list[EventKind]:
    return [event.kind for event in events]


@pytest.fixture
def room() -> Room:
    return Room(NAME, lambda: 5.0)


def test_a_late_recorder_sees_the_room_as_it_is_and_then_what_happens(room: Room) -> None:
    room.join(ALICE, "a")
    room.add_track(track(1), lambda: None)
    room.join(User("bob"), "b")
    room.leave("bob", "b")
    late = Notes()
    snapshot = room.attach(late)
    assert kinds(snapshot) == [EventKind.JOINED, EventKind.TRACK_ADDED, EventKind.SYNCED]
    room.leave("alice", "a")
    assert kinds(late.events) == [EventKind.TRACK_REMOVED, EventKind.LEFT]
    seqs = [event.seq for event in snapshot + late.events]
    assert seqs == sorted(seqs)


def test_two_recorders_hear_the_same_in_the_same_order(room: Room) -> None:
    one, two = Notes(), Notes()
    room.attach(one)
    room.attach(two)
    room.join(ALICE, "a")
    room.add_track(track(1), lambda: None)
    room.leave("alice", "a")
    assert one.events == two.events and len(one.events) == 4


def test_a_user_who_comes_again_replaces_himself_and_the_old_connection_cannot_end_him(room: Room) -> None:
    notes = Notes()
    room.attach(notes)
    room.join(ALICE, "old")
    room.add_track(track(1), lambda: None)
    room.join(ALICE, "new")
    room.leave("alice", "old")
    assert kinds(notes.events) == [
        EventKind.JOINED,
        EventKind.TRACK_ADDED,
        EventKind.TRACK_REMOVED,
        EventKind.LEFT,
        EventKind.JOINED,
    ]
    assert [user.id for user in room.users] == ["alice"]


def test_a_subscriber_gets_that_tracks_units_and_a_key_unit_is_asked_for(room: Room) -> None:
    asked: list[str] = []
    room.join(ALICE, "a")
    room.add_track(track(1), lambda: asked.append("t1"))
    room.add_track(track(2), lambda: asked.append("t2"))
    got: list[Unit] = []
    assert room.subscribe("t2", got.append)
    assert not room.subscribe("t9", got.append)
    room.unit(Unit("t1", "h264", b"1", 1.0, True))
    room.unit(Unit("t2", "h264", b"2", 1.0, True))
    room.unsubscribe("t2", got.append)
    room.unit(Unit("t2", "h264", b"3", 2.0, True))
    assert asked == ["t2"] and [unit.data for unit in got] == [b"2"]


def test_a_room_is_forgotten_with_its_last_publisher_or_recorder() -> None:
    rooms, notes = Rooms(lambda: 0.0), Notes()
    room = rooms.enter(NAME)
    room.attach(notes)
    room.join(ALICE, "a")
    room.detach(notes)
    rooms.tidy(room)
    assert rooms.enter(NAME) is room
    room.leave("alice", "a")
    rooms.tidy(room)
    assert list(rooms) == []


def test_too_many_rooms_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms_module, "MAX_ROOMS", 1)
    rooms = Rooms(lambda: 0.0)
    rooms.enter(NAME)
    with pytest.raises(Overloaded):
        rooms.enter(RoomName("app", "another"))
