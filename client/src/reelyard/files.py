"""Files of recordings, as the service lists them, and links for players."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reelyard.answers import objects, text, truth, whole
from reelyard.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class StoredFile:
    """`kind`: playlist, index, mp4, snapshot or segment; `state`: writing, stored, failed, deleting, deleted."""

    name: str
    kind: str
    state: str
    bytes: int
    md5: str
    duration_s: float
    error: str
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class RecordingFiles:
    """`own_store`: the operator's, where files can be deleted. `next`: of the following segments."""

    sid: str
    cname: str
    uid: str
    own_store: bool
    files: tuple[StoredFile, ...]
    segments: tuple[StoredFile, ...] = ()
    next: str = ""


@dataclass(frozen=True, slots=True)
class FilePage:
    recordings: tuple[RecordingFiles, ...]
    next: str


@dataclass(frozen=True, slots=True)
class Link:
    """For players: paths at the service that need no key until `until_s` (unix). Whoever has it may play this recording.

    `playlist` is empty where there is none to play: of an individual recording before its first slice, or of snapshots.
    """

    playlist: str = field(repr=False)
    files: Mapping[str, str] = field(repr=False)  # name → path
    until_s: int
    playlists: Mapping[str, str] = field(default_factory=dict, repr=False)  # name → path: of single streams, too


def page(body: Mapping[str, Any]) -> FilePage:
    return FilePage(tuple(map(listed, objects(body.get("recordings")))), text(body.get("next")))


def listed(body: Mapping[str, Any]) -> RecordingFiles:
    return RecordingFiles(
        sid=text(body.get("sid")),
        cname=text(body.get("cname")),
        uid=text(body.get("uid")),
        own_store=truth(body.get("own_store"), default=False),
        files=tuple(_file(file, "") for file in objects(body.get("files"))),
        segments=tuple(_file(file, "segment") for file in objects(body.get("segments"))),
        next=text(body.get("next")),
    )


def link(body: Mapping[str, Any]) -> Link:
    playlist = body.get("playlist")
    if not isinstance(playlist, str):
        raise ProtocolError("the answer has no playlist")
    return Link(playlist, _paths(body, "files"), whole(body.get("until_s")) or 0, _paths(body, "playlists"))


def _paths(body: Mapping[str, Any], of: str) -> dict[str, str]:
    return {text(file.get("name")): text(file.get("path")) for file in objects(body.get(of))}


def _file(body: Mapping[str, Any], kind: str) -> StoredFile:
    duration = body.get("duration_s")
    return StoredFile(
        name=text(body.get("name")),
        kind=text(body.get("kind")) or kind,
        state=text(body.get("state")),
        bytes=whole(body.get("bytes")) or 0,
        md5=text(body.get("md5")),
        duration_s=float(duration) if isinstance(duration, int | float) else 0.0,
        error=text(body.get("error")),
        raw=body,
    )
