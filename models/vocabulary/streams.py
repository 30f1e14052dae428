"""Streams of an individual recording: one user's medium, a track of the timeline with files and a playlist of its own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from models.vocabulary.channel import Track, TrackKind, TrackSource

#: The one track of a mixed recording.
MIX: Final = "mix"
#: In place of a stream's type: the playlist that joins a user's pictures with his sound.
JOINED: Final = "av"
#: What stands for a whole tenure where an entry wants a track.
ALL: Final = ""
_PLAIN: Final = {TrackSource.CAMERA, TrackSource.MICROPHONE}
_UNFIT: Final = re.compile(r"[/\\\x00-\x1f\x7f]")
#: Names of files have 255 bytes: beside the user's there are sid, channel (64), type and time.
_MAX_UID_BYTES: Final = 80


@dataclass(frozen=True, slots=True)
class Stream:
    """`type`: "audio" or "video"; what is neither microphone nor camera says so ("video-screen"), and so does a user's
    second of a kind ("video-2").
    """

    uid: str
    type: str

    @property
    def track(self) -> str:
        return f"{self.uid}/{self.type}"

    @property
    def medium(self) -> str:
        """The contract's trackType."""
        return "audio" if self.type.startswith("audio") else "video"

    @classmethod
    def of(cls, track: str) -> Stream:
        uid, _, type_ = track.rpartition("/")
        return cls(uid, type_)

    @property
    def suffix(self) -> str:
        """What the contract puts behind `<sid>_<cname>` in the names of this stream's files."""
        return f"__uid_s_{_in_a_name(self.uid)}__uid_e_{self.type}"


def stream_of(track: Track, taken: Iterable[str]) -> Stream:
    """The stream that a channel's track is recorded as; `taken`: timeline tracks that are being recorded now."""
    medium = "audio" if track.kind is TrackKind.AUDIO else "video"
    type_ = medium if track.source in _PLAIN else f"{medium}-{track.source}"
    others = set(taken)
    stream, n = Stream(track.user, type_), 2
    while stream.track in others:
        stream, n = Stream(track.user, f"{type_}-{n}"), n + 1
    return stream


def _in_a_name(uid: str) -> str:
    """A user's id as part of a file's name. Where it cannot stand there as it is, a hash keeps two users apart."""
    fit = _UNFIT.sub("-", uid)
    if fit == uid and len(uid.encode()) <= _MAX_UID_BYTES:
        return uid
    short = fit.encode()[:_MAX_UID_BYTES].decode(errors="ignore")
    return f"{short}-{hashlib.sha256(uid.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True)
class Shape:
    """How the pictures of a segment look: size, and degrees clockwise by which they must be turned for display."""

    width: int
    height: int
    rotation: int = 0

    def __str__(self) -> str:
        return f"{self.width}x{self.height}@{self.rotation}"

    @classmethod
    def parse(cls, text: str) -> Shape | None:
        found = re.fullmatch(r"(\d{1,5})x(\d{1,5})@(\d{1,3})", text)
        return None if found is None else cls(*map(int, found.groups()))
