"""Who came and went, by what was recorded of him: from segments and holes alone."""

from __future__ import annotations

from typing import Any

from models.vocabulary.channel import EventKind, TrackKind, TrackSource
from workers.recorder.merging.cast import comings, happenings
from workers.recorder.merging.recorded import Recorded

S = 90_000


def span(start_s: float, end_s: float) -> dict[str, Any]:
    return {"start_s": start_s, "end_s": end_s}


def stream(uid: str, type_: str, *spans: tuple[float, float], **holes: list[tuple[float, float]]) -> dict[str, Any]:
    """`holes` by state."""
    segments = [span(*s) | {"key": f"{uid}{type_}{s[0]}.ts", "bytes": 1, "md5": "0"} for s in spans]
    gaps = [span(*hole) | {"state": state} for state, found in holes.items() for hole in found]
    return {"uid": uid, "type": type_, "segments": segments, "holes": gaps}


def recorded(*streams: dict[str, Any], users: str = "") -> Recorded:
    said = {"version": 1, "sid": "s", "appid": "a", "cname": "c", "final": True, "streams": streams}
    return Recorded.model_validate(said | {"users": [{"uid": uid} for uid in users]})


def told(found: Recorded) -> list[tuple[float, str, str]]:
    return [
        (it.at_90k / S, str(it.kind), it.user.id if it.user else it.track.id if it.track else "")
        for it in happenings(found, comings(found))
    ]


def users(found: Recorded) -> list[tuple[float, str, str]]:
    return [it for it in told(found) if it[1] in (EventKind.JOINED, EventKind.LEFT)]


def test_who_pauses_is_away_and_what_the_recorder_lost_keeps_nobody_away() -> None:
    paused = stream("a", "audio", (0, 6), (20, 26), paused=[(6, 20)])
    lost = stream("b", "audio", (0, 6), (20, 26), lost=[(6, 20)])
    assert users(recorded(paused, users="ba")) == [
        (0, "joined", "a"),
        (6, "left", "a"),
        (20, "joined", "a"),
        (26, "left", "a"),
    ]
    assert users(recorded(lost)) == [(0, "joined", "b"), (26, "left", "b")]
    both = recorded(stream("c", "audio", (0, 6), (20, 26), lost=[(6, 9)], paused=[(9, 20)]))
    assert users(both) == [(0, "joined", "c"), (6, "left", "c"), (20, "joined", "c"), (26, "left", "c")]


def test_a_user_is_there_while_any_of_his_streams_is_and_in_a_short_pause() -> None:
    camera = stream("a", "video", (0, 6), (9, 12), paused=[(6, 9)])
    sound = stream("a", "audio", (3, 8), (15.4, 18), paused=[(8, 15.4)])
    assert users(recorded(camera, sound)) == [(0, "joined", "a"), (18, "left", "a")]
    pictures = [it for it in told(recorded(camera, sound)) if "video" in it[2]]
    assert pictures == [
        (0, "track_added", "a/video#0"),
        (6, "track_removed", "a/video#0"),
        (9, "track_added", "a/video#1"),
        (12, "track_removed", "a/video#1"),
    ]


def test_users_of_one_moment_come_in_the_order_on_record_and_before_their_tracks() -> None:
    found = recorded(
        stream("a", "audio", (0, 2)), stream("b", "audio", (0, 2)), stream("c", "audio", (2, 4)), users="ba"
    )
    assert told(found) == [
        (0, "joined", "b"),
        (0, "joined", "a"),
        (0, "track_added", "b/audio#0"),
        (0, "track_added", "a/audio#0"),
        (2, "track_removed", "b/audio#0"),
        (2, "track_removed", "a/audio#0"),
        (2, "left", "b"),
        (2, "left", "a"),
        (2, "joined", "c"),
        (2, "track_added", "c/audio#0"),
        (4, "track_removed", "c/audio#0"),
        (4, "left", "c"),
    ]


def test_a_screen_is_no_camera_and_a_second_camera_is_one() -> None:
    types = ("video", "video-2", "video-screen", "video-screen-2", "audio", "audio-screen")
    sources = {
        c.track.id: (c.track.kind, c.track.source) for c in comings(recorded(*(stream("a", t, (0, 1)) for t in types)))
    }
    assert sources == {
        "a/video#0": (TrackKind.VIDEO, TrackSource.CAMERA),
        "a/video-2#0": (TrackKind.VIDEO, TrackSource.CAMERA),
        "a/video-screen#0": (TrackKind.VIDEO, TrackSource.SCREEN),
        "a/video-screen-2#0": (TrackKind.VIDEO, TrackSource.SCREEN),
        "a/audio#0": (TrackKind.AUDIO, TrackSource.MICROPHONE),
        "a/audio-screen#0": (TrackKind.AUDIO, TrackSource.SCREEN),
    }
