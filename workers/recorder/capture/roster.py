"""Who is in the room, as the recording sees it: events and units in, `SeenUser` values out. Pure; times are ticks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from models.vocabulary.channel import ChannelEvent, EventKind, Track, TrackKind, User, UserRole
from models.vocabulary.spec import RecordingSpec
from models.vocabulary.ticks import TICKS_PER_S
from workers.recorder.mixer.seen import SeenUser, SeenVideo, Stop

#: A picture that has not moved for so long has been muted at its sender without a word (many clients just stop sending).
#: It lies inside the 3.5 s for which the last picture is held.
QUIET_90K: Final = 3 * TICKS_PER_S // 2
Change = Callable[[SeenVideo], SeenVideo]

#: Users who left are kept for the record of the picture that is still being drawn, but not for ever.
PAST_KEPT: Final = 64
#: Of each user: those that flow, and those that were replaced a moment ago.
VIDEOS_KEPT: Final = 8


@dataclass(slots=True)
class _Video:
    track: Track
    last_90k: int | None = None  # of its newest unit
    muted: bool = False  # by event: units do not unmute it


class Roster:
    def __init__(self, spec: RecordingSpec) -> None:
        self._spec = spec
        self._users: dict[str, User] = {}  # who is here now
        self._tracks: dict[str, Track] = {}
        self._seen: dict[str, SeenUser] = {}  # who is here, as the layout sees him
        self._past: list[SeenUser] = []
        self._videos: dict[str, _Video] = {}
        self._orders = 0
        self._cache: tuple[SeenUser, ...] | None = None

    def respec(self, spec: RecordingSpec) -> None:
        self._spec = spec

    # -- questions ----------------------------------------------------------------------------------------------

    @property
    def present(self) -> int:
        """Users that keep the recording from being idle: hosts in a live channel, everybody in a communication."""
        return sum(self._counts(user) for user in self._users.values())

    def tracks(self) -> list[Track]:
        return list(self._tracks.values())

    def takes(self, track: Track) -> bool:
        """Whether a track is to be recorded."""
        spec = self._spec
        if track.kind is TrackKind.AUDIO:
            return spec.has_audio and spec.audio_from.takes(track.user)
        return spec.has_video and spec.video_from.takes(track.user)

    def seen(self) -> tuple[SeenUser, ...]:
        if self._cache is None:
            self._cache = (*self._past, *self._seen.values())
        return self._cache

    # -- what happens -------------------------------------------------------------------------------------------

    def happened(self, event: ChannelEvent, at_90k: int) -> None:
        """`at_90k`: the event on the recording clock, or 0 before that clock has a zero."""
        match event.kind:
            case EventKind.JOINED if event.user is not None:
                self._joined(event.user, at_90k)
            case EventKind.LEFT if event.user is not None:
                self._left(event.user.id, at_90k)
            case EventKind.TRACK_ADDED if event.track is not None:
                self._added(event.track, at_90k)
            case EventKind.TRACK_REMOVED if event.track is not None:
                self._removed(event.track.id, at_90k)
            case EventKind.MUTED if event.track is not None and event.track.id in self._videos:
                self._videos[event.track.id].muted = True
                self._stop(event.track.id, at_90k, Stop.MUTED)
            case EventKind.UNMUTED if event.track is not None and event.track.id in self._videos:
                self._videos[event.track.id].muted = False
                self._start(event.track.id, at_90k)
            case _:
                pass

    def picture(self, track_id: str, at_90k: int) -> None:
        """A unit of a video track has come."""
        video = self._videos.get(track_id)
        if video is None:
            return
        video.last_90k = max(at_90k, video.last_90k or 0)
        if not video.muted:
            self._start(track_id, at_90k)

    def look(self, now_90k: int) -> None:
        """Notice who stopped sending pictures without a word."""
        for track_id, video in self._videos.items():
            if not video.muted and video.last_90k is not None and now_90k - video.last_90k > QUIET_90K:
                self._stop(track_id, video.last_90k, Stop.MUTED)

    # -- how ----------------------------------------------------------------------------------------------------

    def _counts(self, user: User) -> bool:
        return self._spec.channel_type == 0 or user.role is UserRole.HOST

    def _joined(self, user: User, at_90k: int) -> None:
        self._users[user.id] = user
        self._bury(user.id, at_90k)  # a second joining without a leaving: the first is over
        if user.role is UserRole.HOST:
            self._seen[user.id] = SeenUser(user.id, self._orders, at_90k, client=user.client)
            self._orders += 1
        self._cache = None

    def _left(self, uid: str, at_90k: int) -> None:
        self._users.pop(uid, None)
        for track in [t for t in self._tracks.values() if t.user == uid]:
            self._removed(track.id, at_90k)
        self._bury(uid, at_90k)

    def _bury(self, uid: str, at_90k: int) -> None:
        user = self._seen.pop(uid, None)
        if user is not None:
            self._past = [*self._past, replace(user, left_90k=at_90k)][-PAST_KEPT:]
            self._cache = None

    def _added(self, track: Track, at_90k: int) -> None:
        self._tracks[track.id] = track
        if track.kind is TrackKind.VIDEO:
            self._videos[track.id] = _Video(track)
            self._start(track.id, at_90k)

    def _removed(self, track_id: str, at_90k: int) -> None:
        video = self._videos.get(track_id)
        if video is not None:
            self._stop(track_id, at_90k if video.last_90k is None else video.last_90k, Stop.UNPUBLISHED)
            del self._videos[track_id]
        self._tracks.pop(track_id, None)

    def _start(self, track_id: str, at_90k: int) -> None:
        self._change(track_id, lambda seen: seen.started(at_90k))

    def _stop(self, track_id: str, at_90k: int, how: Stop) -> None:
        self._change(track_id, lambda seen: seen.stopped(at_90k, how))

    def _change(self, track_id: str, change: Change) -> None:
        user = self._seen.get(self._videos[track_id].track.user)
        if user is None:
            return
        before = next((v for v in user.videos if v.track == track_id), None)
        after = change(before or SeenVideo(track_id, source=self._videos[track_id].track.source))
        if after is not before:
            self._seen[user.uid] = replace(user, videos=_with(user.videos, after))
            self._cache = None


def _with(videos: Iterable[SeenVideo], changed: SeenVideo) -> tuple[SeenVideo, ...]:
    return (*(v for v in videos if v.track != changed.track), changed)[-VIDEOS_KEPT:]
