"""Who is in the room: as the recording sees it, and never more than it needs to remember."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.vocabulary.channel import ChannelEvent, EventKind, Track, TrackKind, TrackSource, User, UserRole
from tests.recorder.virtual import spec
from workers.recorder.capture.roster import PAST_KEPT, QUIET_90K, VIDEOS_KEPT, Roster
from workers.recorder.mixer.seen import HOLD_90K

S = 90_000


def camera(uid: str, n: int = 0) -> Track:
    return Track(f"{uid}-cam{n}", uid, TrackKind.VIDEO, TrackSource.CAMERA, "h264")


def told(
    roster: Roster, at_90k: int, kind: EventKind, uid: str, track: Track | None = None, role: UserRole = UserRole.HOST
) -> None:
    about = User(uid, role) if kind in (EventKind.JOINED, EventKind.LEFT) else None
    roster.happened(ChannelEvent(at_90k / S, 0, kind, about, track), at_90k)


def test_who_left_is_remembered_while_the_picture_may_still_show_him_and_not_for_ever() -> None:
    roster = Roster(spec("scripted:"))
    for n in range(5_000):
        told(roster, n * S, EventKind.JOINED, f"u{n}")
        told(roster, n * S, EventKind.TRACK_ADDED, f"u{n}", camera(f"u{n}"))
        told(roster, n * S + S // 2, EventKind.LEFT, f"u{n}")
    assert roster.present == 0
    assert len(roster.seen()) == PAST_KEPT
    assert all(user.left_90k is not None for user in roster.seen())
    assert roster.tracks() == []


def test_a_camera_switched_on_and_off_all_day_leaves_few_traces() -> None:
    roster = Roster(spec("scripted:"))
    told(roster, 0, EventKind.JOINED, "a")
    for n in range(1_000):
        told(roster, n * S, EventKind.TRACK_ADDED, "a", camera("a", n))
        told(roster, n * S + 9, EventKind.TRACK_REMOVED, "a", camera("a", n))
    (user,) = roster.seen()
    assert len(user.videos) == VIDEOS_KEPT


def test_a_second_joining_without_a_leaving_ends_the_first() -> None:
    roster = Roster(spec("scripted:"))
    told(roster, 0, EventKind.JOINED, "a")
    told(roster, 9 * S, EventKind.JOINED, "a")
    assert roster.present == 1
    assert [u.present(10 * S) for u in roster.seen()] == [False, True]


def test_an_audience_is_not_seen_and_does_not_keep_a_live_channel_from_being_idle() -> None:
    for channel_type, counted in ((0, 1), (1, 0)):
        roster = Roster(spec("scripted:", channel_type=channel_type))
        told(roster, 0, EventKind.JOINED, "a", role=UserRole.AUDIENCE)
        assert (roster.seen(), roster.present) == ((), counted)


def test_a_camera_that_stops_without_a_word_is_muted_and_its_next_picture_unmutes_it() -> None:
    roster = Roster(spec("scripted:"))
    told(roster, 0, EventKind.JOINED, "a")
    told(roster, 0, EventKind.TRACK_ADDED, "a", camera("a"))
    roster.picture("a-cam0", S)
    roster.look(S + QUIET_90K)
    assert roster.seen()[0].videos[0].spans[-1].until_90k is None
    roster.look(S + QUIET_90K + 1)
    assert roster.seen()[0].videos[0].spans[-1].until_90k == S
    assert QUIET_90K < HOLD_90K
    roster.picture("a-cam0", 9 * S)
    assert roster.seen()[0].videos[0].spans[-1].until_90k is None


def test_pictures_that_were_on_their_way_do_not_unmute() -> None:
    roster = Roster(spec("scripted:"))
    told(roster, 0, EventKind.JOINED, "a")
    told(roster, 0, EventKind.TRACK_ADDED, "a", camera("a"))
    told(roster, S, EventKind.MUTED, "a", camera("a"))
    roster.picture("a-cam0", S + 1)
    assert roster.seen()[0].videos[0].spans[-1].until_90k == S


KINDS = (
    EventKind.JOINED,
    EventKind.LEFT,
    EventKind.TRACK_ADDED,
    EventKind.TRACK_REMOVED,
    EventKind.MUTED,
    EventKind.UNMUTED,
    EventKind.SYNCED,
)


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from("abc"), st.integers(0, 2)), max_size=60))
def test_no_order_of_events_breaks_it(events: list[tuple[EventKind, str, int]]) -> None:
    roster = Roster(spec("scripted:"))
    here: set[str] = set()
    for n, (kind, uid, track) in enumerate(events):
        told(roster, n * S, kind, uid, camera(uid, track))
        roster.picture(f"{uid}-cam{track}", n * S)
        roster.look(n * S)
        here |= {uid} if kind is EventKind.JOINED else set()
        here -= {uid} if kind is EventKind.LEFT else set()
        assert roster.present == len(here)
        assert {u.uid for u in roster.seen() if u.left_90k is None} == here
