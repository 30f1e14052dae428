"""Who is received, from nothing but the times of units."""

from __future__ import annotations

from models.vocabulary.channel import Track, TrackKind, TrackSource
from workers.recorder.capture.reception import QUIET_S, Change, Reception

CAMERA = Track("c", "7", TrackKind.VIDEO, TrackSource.CAMERA, "h264")
SCREEN = Track("s", "7", TrackKind.VIDEO, TrackSource.SCREEN, "h264")


def test_the_first_unit_begins_and_silence_ends_at_the_last_one() -> None:
    reception = Reception()
    reception.added(CAMERA)
    assert reception.unit("c", 1.0) == Change("7", TrackKind.VIDEO, True, 1.0)
    assert reception.unit("c", 2.0) is None
    assert reception.look(2.0 + QUIET_S) == []
    assert reception.look(2.1 + QUIET_S) == [Change("7", TrackKind.VIDEO, False, 2.0)]
    assert reception.look(9.0 + QUIET_S) == []
    assert reception.unit("c", 20.0) == Change("7", TrackKind.VIDEO, True, 20.0)


def test_two_tracks_of_a_kind_count_as_one() -> None:
    reception = Reception()
    reception.added(CAMERA)
    reception.added(SCREEN)
    assert reception.unit("c", 1.0) is not None
    assert reception.unit("s", 1.1) is None
    assert reception.removed("c") is None
    assert reception.removed("s") == Change("7", TrackKind.VIDEO, False, 1.1)
    assert reception.removed("s") is None


def test_units_of_nobody_known_say_nothing() -> None:
    reception = Reception()
    assert reception.unit("x", 1.0) is None
    assert reception.removed("x") is None
