"""The journal of a spool: append-only JSON lines of facts. One format recovers, resumes and repairs.

Entry n is line n, counted from 1. A torn last line (the process died in its write) is no entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from models.vocabulary.states import HoleState

#: Why what was recorded is not uploaded.
CANCELLED: Final = "cancelled"


class Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Begun(Entry):
    """A recorder process began in this spool. The first knows no zero; `t0_ms` comes with the first unit."""

    type: Literal["begun"] = "begun"
    sid: str
    epoch: int
    owner: str
    resume_at_90k: int


class Zero(Entry):
    """The recording's zero was found: wall time, and its place on the channel's own clock."""

    type: Literal["zero"] = "zero"
    t0_ms: int
    clock_id: str
    zero_s: float


class First(Entry):
    """Where this spool's capture begins: it has nothing from before."""

    type: Literal["first"] = "first"
    track: str
    at_90k: int


class Slice(Entry):
    """A slice was closed and renamed: from now on its name and bytes never change."""

    type: Literal["slice"] = "slice"
    track: str
    start_90k: int
    end_90k: int
    key: str
    file: str  # name inside the spool
    bytes: int
    md5: str  # hex
    shape: str = ""  # of a single sender's pictures: str(streams.Shape)


class Snapshot(Entry):
    """A picture of a user was taken and lies in the spool."""

    type: Literal["snapshot"] = "snapshot"
    track: str
    at_90k: int
    key: str
    file: str
    bytes: int
    md5: str  # hex


class Stored(Entry):
    """A store acknowledged a slice, its checksum proven."""

    type: Literal["stored"] = "stored"
    track: str = "mix"
    key: str
    store: str = "primary"


class Opened(Entry):
    """A slice of a single sender's stream is being written: what its `.part` belongs to, if nothing else is heard of it."""

    type: Literal["opened"] = "opened"
    track: str
    start_90k: int
    file: str  # the name that it will have
    shape: str = ""  # of its pictures: str(streams.Shape)


class Warm(Entry):
    """A later tenure's recorder has been recording for long enough to carry the recording alone."""

    type: Literal["warm"] = "warm"
    at_90k: int


class Lost(Entry):
    """A slice that was closed is gone from the spool before any store had it: its range is a hole."""

    type: Literal["lost"] = "lost"
    track: str = "mix"
    key: str
    cause: str


class Film(Entry):
    """An MP4 is whole on disk, under its final name; or (`file` empty) there is none, and `error` says why."""

    type: Literal["film"] = "film"
    key: str
    file: str = ""  # name inside the spool
    start_90k: int
    end_90k: int
    duration_90k: int = 0  # without the holes
    bytes: int = 0
    md5: str = ""  # hex
    error: str = ""  # what is wrong with it


class Gap(Entry):
    """This range of a track was never captured by this spool, and no other entry will cover it."""

    type: Literal["gap"] = "gap"
    track: str
    start_90k: int
    end_90k: int
    cause: str
    state: Literal[HoleState.LOST, HoleState.PAUSED] = HoleState.LOST  # paused: there was nothing to record


class Held(Entry):
    """On hold: from this edge on nothing is to be recorded. All that lies before it is in earlier entries."""

    type: Literal["held"] = "held"
    track: str
    at_90k: int


class Paused(Entry):
    """The hold is over: in this range nothing was to be recorded."""

    type: Literal["paused"] = "paused"
    track: str
    start_90k: int
    end_90k: int


class Closed(Entry):
    """The recorder left in order: nothing unfinished lies in the spool."""

    type: Literal["closed"] = "closed"
    end_90k: int


AnyEntry = Begun | Zero | First | Slice | Snapshot | Stored | Opened | Warm | Lost | Film | Gap | Held | Paused | Closed
_ADAPTER: TypeAdapter[AnyEntry] = TypeAdapter(Annotated[AnyEntry, Field(discriminator="type")])


def line(entry: Entry) -> bytes:
    return entry.model_dump_json().encode() + b"\n"


def parse(text: bytes) -> Iterator[tuple[int, AnyEntry]]:
    """(n, entry) of every whole line. Entries of a newer version that we do not know are passed over."""
    for n, raw in enumerate(text.split(b"\n")[:-1], start=1):
        try:
            yield n, _ADAPTER.validate_json(raw)
        except ValidationError:
            continue  # a line torn by a crash and then continued, or a newer version's entry: it has no meaning here
