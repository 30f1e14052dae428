"""What a channel yields: users, tracks, encoded access units and ordered events, all on one clock.

Encoded units are the base contract: individual recording copies them, mixing decodes them. What a channel cannot do
it says in `Caps`, which placement, drain and standby read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol, runtime_checkable


class TrackKind(StrEnum):
    AUDIO = "audio"
    VIDEO = "video"


class TrackSource(StrEnum):
    CAMERA = "camera"
    MICROPHONE = "microphone"
    SCREEN = "screen"
    MEDIA = "media"
    WHITEBOARD = "whiteboard"


class UserRole(StrEnum):
    HOST = "host"
    AUDIENCE = "audience"


class ClientKind(StrEnum):
    """Which client the user joined with: the 3.5 s rule of the mix differs by it."""

    NATIVE = "native"
    WEB3 = "web3"
    WEB4 = "web4"
    NONE = "none"


class ChannelClock(StrEnum):
    SHARED = "shared"  # one clock for every recorder of the room (ingest, SFU host)
    ARRIVAL = "arrival"  # each recorder's own: what arrives now is of now
    SCRIPTED = "scripted"


#: Schemes of channel addresses whose rooms several recorders may be in at once: what `Caps.joinable_many` says of each,
#: for those who place tenures and open no channel.
JOINABLE_MANY_SCHEMES: Final = frozenset({"scripted", "whip", "janus+ws", "janus+wss", "pull"})


class Layer(StrEnum):
    """Which simulcast layer of a track is wanted."""

    HIGH = "high"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Caps:
    joinable_many: bool  # several recorders may be in the room at once
    hidden: bool  # the recorder is not seen as a participant
    encoded: bool  # yields encoded units (else decoded frames only)
    keyframe_request: bool
    mute_events: bool
    layers: bool
    clock: ChannelClock
    sources: frozenset[TrackSource] = frozenset({TrackSource.CAMERA, TrackSource.MICROPHONE, TrackSource.SCREEN})


@dataclass(frozen=True, slots=True)
class User:
    id: str  # opaque, ≤ 64 characters
    role: UserRole = UserRole.HOST
    client: ClientKind = ClientKind.NONE
    name: str = ""


@dataclass(frozen=True, slots=True)
class Track:
    id: str  # unique in the room, also across a user's rejoins
    user: str
    kind: TrackKind
    source: TrackSource
    codec: str  # "h264" | "vp8" | "vp9" | "av1" | "opus" | "aac" | …


@dataclass(slots=True)
class Unit:
    """One encoded access unit: a whole picture (H.264 as Annex B with its parameter sets at key units) or one audio packet."""

    track: str
    codec: str
    data: bytes
    t: float  # capture time on the recorder's monotonic clock, s; A/V of one user are related through it
    key: bool
    duration_s: float | None = None  # audio: its length
    gap: bool = False  # something before it was lost
    rotation: int = 0  # degrees clockwise the picture must be turned for display: 0, 90, 180, 270
    #: Of pictures that are not sent in the order in which they are shown: it is shown so long after `t`, at which it is
    #: decoded. A decoder gives out each picture when it is due, so only who copies units needs it.
    shown_later_s: float = 0.0


class EventKind(StrEnum):
    JOINED = "joined"
    LEFT = "left"
    TRACK_ADDED = "track_added"
    TRACK_REMOVED = "track_removed"
    MUTED = "muted"
    UNMUTED = "unmuted"
    SYNCED = "synced"  # the snapshot of who was there before us is complete
    RECONNECTING = "reconnecting"
    CONNECTED = "connected"
    WARNING = "warning"  # something the record should say, in `detail`; the room is as it was
    CLOSED = "closed"  # the room ended, or threw the recorder out; `detail` says why


class Closing(StrEnum):
    """Why a room has closed for the recorder."""

    CLOSED = "closed"  # it ended, or cannot be reached any more
    KICKED = "kicked"  # the recorder was thrown out, or banned
    EXPIRED = "token"  # its token ran out


@dataclass(frozen=True, slots=True)
class ChannelEvent:
    t: float  # as Unit.t
    seq: int
    kind: EventKind
    user: User | None = None
    track: Track | None = None
    detail: str = ""
    closing: Closing = Closing.CLOSED  # of CLOSED


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where the recording's zero lies on the channel's own clock, so that a later tenure finds the same zero exactly.

    `clock_id` names the clock (an ingest's boot, a script); a tenure that meets another id falls back to wall time.
    """

    clock_id: str
    zero_s: float


@dataclass(frozen=True, slots=True)
class Room:
    """Where to join and as whom; minted anew for each tenure."""

    address: str  # the app's channel address: whip:, scripted:FILE.json, …, resolved for this recording
    appid: str
    cname: str
    uid: str  # the recorder's own identity
    opened_ms: int  # unix ms at which the recording was created: scripted rooms count their time from here
    credentials: Mapping[str, str] = field(default_factory=dict)
    pulls: Mapping[str, str] = field(default_factory=dict, repr=False)  # of a pull: channel: its users' URLs
    anchored: bool = False  # an earlier tenure set the zero: `time_of` is asked as soon as the channel is open


Sink = Callable[[Unit], None]


@runtime_checkable
class Pulling(Protocol):
    """A channel whose users are URLs, which come and go by order."""

    def pull(self, wanted: Mapping[str, str]) -> None:
        """These from now on, by uid; before `open` they are the room's."""
        ...


class Channel(Protocol):
    """One connection to one room. `open` raises `ChannelError`; sinks are called in the loop's thread and must not block."""

    caps: Caps

    async def open(self, room: Room) -> None: ...

    def events(self) -> AsyncIterator[ChannelEvent]:
        """Snapshot of who is there first, then SYNCED, then what happens, in order; ends after CLOSED."""
        ...

    async def subscribe(self, track_id: str, sink: Sink, layer: Layer = Layer.HIGH) -> None:
        """Units of a track flow into `sink`, from a key unit on where the channel can ask for one. Unknown id: no-op."""
        ...

    async def unsubscribe(self, track_id: str) -> None: ...

    async def request_keyframe(self, track_id: str) -> bool:
        """Whether the request was passed on."""
        ...

    def anchor(self, t: float) -> Anchor:
        """A time of the recorder's monotonic clock, as a point on the channel's own clock."""
        ...

    def time_of(self, anchor: Anchor) -> float | None:
        """The inverse of `anchor`, on this recorder's clock; None when the anchor's clock is another one."""
        ...

    def stats(self) -> Mapping[str, float]: ...

    async def close(self) -> None: ...
