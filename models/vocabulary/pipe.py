"""What a worker and its recorder say to each other: versioned JSON lines over stdin (down) and stdout (up).

Secrets travel here, never in argv or environment. End of stdin means: close the slice and leave. The recorder never
blocks on the pipe: facts are in the journal, the pipe only says how far it goes.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from models.vocabulary.errors import Scope
from models.vocabulary.film import Shot
from models.vocabulary.spec import Backup, RecordingSpec, Secrets
from models.vocabulary.states import Role, Status

PIPE_VERSION = 1


class Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    v: int = PIPE_VERSION


class Point(BaseModel):
    """`channel.Anchor` on the wire."""

    model_config = ConfigDict(frozen=True)

    clock_id: str
    zero_s: float


# -- down: worker → recorder ------------------------------------------------------------------------------------


class Begin(Message):
    type: Literal["begin"] = "begin"
    sid: str
    epoch: int
    owner: str
    role: Role = Role.PRIMARY
    spec: RecordingSpec
    secrets: Secrets
    spec_gen: int = 1
    opened_ms: int  # when the recording was created, database time
    wall_offset_ms: int = 0  # database clock minus this host's
    t0_ms: int | None = None  # None: the clock has not started
    anchor: Point | None = None
    resume_at_90k: int = 0  # first tick not yet in the timeline
    last_user_90k: int | None = None  # idle time survives a change of tenure
    on_hold: bool = False  # nothing is to be recorded until `Hold` says so
    held_90k: int | None = None  # on hold since this edge; None: from the next one on, or not at all
    channel_address: str = ""  # the app's address resolved for this recording
    credentials: dict[str, str] = Field(default_factory=dict)
    spool: str  # directory of this (sid, owner), made by the worker, 0700
    backup: Backup | None = None


class Spec(Message):
    type: Literal["spec"] = "spec"
    gen: int
    spec: RecordingSpec
    secrets: Secrets | None = None


class Cut(Message):
    """Record up to this slot's edge, not further."""

    type: Literal["cut"] = "cut"
    at_90k: int


class Hold(Message):
    """Record nothing from the next slot's edge on, but stay in the channel; or record again from the next edge on."""

    type: Literal["hold"] = "hold"
    on: bool


class Finish(Message):
    """End capture now, put the tail in the store, leave. `cancel`: do not even upload what is left."""

    type: Literal["finish"] = "finish"
    cancel: bool = False


class Committed(Message):
    """Journal entries up to n are in the timeline. A slice is uploaded only after that."""

    type: Literal["committed"] = "committed"
    n: int
    covered: tuple[str, ...] = ()  # of the refused: a store has another's copy of the range, so nobody needs this one
    refused: tuple[str, ...] = ()  # keys whose range is another's: not to be uploaded
    later: tuple[
        str, ...
    ] = ()  # keys that may get their place yet, while another tenure is at work: kept, not uploaded
    granted: tuple[str, ...] = ()  # keys of `later` that have their place now


class LeaseOk(Message):
    """The tenure holds and is the writer for so long from now; a document PUT must end within it."""

    type: Literal["lease_ok"] = "lease_ok"
    for_s: float


class Document(Message):
    """Put this text at this key: playlist or index. Only the newest rev of a key is worth sending; one PUT at a time a key."""

    type: Literal["document"] = "document"
    key: str
    content_type: str
    text: str
    rev: int
    final: bool = False
    store: Literal["primary", "backup"] = "primary"


class Film(Message):
    """Make the MP4 of these segments, in time order, and put it. Answered by the journal: `Film`, then `Stored`."""

    type: Literal["film"] = "film"
    key: str
    start_90k: int
    end_90k: int
    shots: tuple[Shot, ...]


class Rushes(Message):
    """What the next `Film` will most likely begin with, so that it can be made as the recording goes on: these shots behind
    the `n` that were told before. With n = 0 they begin it, and those before are of no use any more.
    """

    type: Literal["rushes"] = "rushes"
    n: int
    shots: tuple[Shot, ...]


class Filmed(Message):
    """Another tenure has made the film of this range, and a store has it: its segments may go."""

    type: Literal["filmed"] = "filmed"
    start_90k: int
    end_90k: int


class Sealed(Message):
    """Every document is final and in the store: leave."""

    type: Literal["sealed"] = "sealed"


# -- up: recorder → worker --------------------------------------------------------------------------------------


class Alive(Message):
    """Every 0.5 s. n = number of the last journal entry."""

    type: Literal["alive"] = "alive"
    n: int
    late_ms: float = 0.0
    position_90k: int = 0
    last_user_90k: int | None = None
    users: int = 0
    unsent_bytes: int = 0
    overloaded: bool = False  # pictures are encoded with less care, for lack of time
    store_reads: bool = True  # whether what is in the store can be had back


class State(Message):
    type: Literal["state"] = "state"
    status: Status
    t0_ms: int | None = None
    anchor: Point | None = None


class Journal(Message):
    """The journal has n entries."""

    type: Literal["journal"] = "journal"
    n: int


class Documented(Message):
    type: Literal["documented"] = "documented"
    key: str
    rev: int
    store: Literal["primary", "backup"] = "primary"


class Fault(Message):
    """Something is wrong. `fatal`: the recorder leaves because of it."""

    type: Literal["fault"] = "fault"
    code: int
    scope: Scope
    retryable: bool
    text: str
    fatal: bool = False


class Warn(Message):
    """Something the record should say; the recording goes on."""

    type: Literal["warn"] = "warn"
    text: str


class Stream(Message):
    """A user's sound or pictures are received, or not any more, since `at_ms` (unix, the recording's clock)."""

    type: Literal["stream"] = "stream"
    uid: str
    kind: Literal["audio", "video"]
    receiving: bool
    at_ms: int


class Drained(Message):
    """Capture has ended (`reason` says why) and every slice is in the journal. Uploads may still go on."""

    type: Literal["drained"] = "drained"
    reason: Literal["finish", "cut", "idle", "kicked", "token", "limit", "closed", "stdin"]
    n: int
    head_90k: int


class Bye(Message):
    """All that this recorder had to do is done."""

    type: Literal["bye"] = "bye"


Down = Begin | Spec | Cut | Hold | Finish | Committed | LeaseOk | Document | Film | Rushes | Filmed | Sealed
Up = Alive | State | Journal | Documented | Fault | Warn | Stream | Drained | Bye

_DOWN: TypeAdapter[Down] = TypeAdapter(Annotated[Down, Field(discriminator="type")])
_UP: TypeAdapter[Up] = TypeAdapter(Annotated[Up, Field(discriminator="type")])


def line(message: Message) -> bytes:
    return message.model_dump_json().encode() + b"\n"


class WrongVersion(ValueError):
    """A line of another version of the pipe; says so in words. (Fields and messages are added within a version: whoever
    does not know them passes them over. A version changes when that would not do.)
    """


def down(raw: bytes) -> Down:
    """Raises `WrongVersion`, or pydantic's ValidationError on a line that is no message of ours."""
    _check_version(raw)
    return _DOWN.validate_json(raw)


def up(raw: bytes) -> Up:
    """Raises as `down` does."""
    _check_version(raw)
    return _UP.validate_json(raw)


def _check_version(raw: bytes) -> None:
    spoken = Message.model_validate_json(raw).v
    if spoken != PIPE_VERSION:
        raise WrongVersion(
            f"worker and recorder speak versions {spoken} and {PIPE_VERSION} of their pipe: the code was replaced while the"
            " worker ran; drain it and start it again"
        )
