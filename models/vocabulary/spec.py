"""What is to be recorded, as values: the whole of a `start` request once it is validated. No secrets in here."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

SPEC_VERSION: Final = 1


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")  # a newer version's fields are no error in a rolling upgrade


class Mode(StrEnum):
    INDIVIDUAL = "individual"
    MIX = "mix"
    WEB = "web"


class LayoutKind(IntEnum):
    FLOAT = 0
    BEST_FIT = 1
    VERTICAL = 2
    CUSTOM = 3


class Region(Frozen):
    """One entry of the contract's layoutConfig; fractions of the canvas."""

    uid: str = ""
    x: float
    y: float
    width: float
    height: float
    alpha: float = 1.0
    render_mode: int = 0  # 0 crop, 1 fit


class UserBackground(Frozen):
    uid: str
    image_url: str
    render_mode: int = 0


class ContentKind(StrEnum):
    VIDEO = "video"  # a user's camera
    SCREEN = "screen"
    MEDIA = "media"
    WHITEBOARD = "whiteboard"
    PICTURE = "picture"
    TIMESTAMP = "timestamp"
    TEXT = "text"


Colour = Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}([0-9A-Fa-f]{2})?$")]


class Content(Frozen):
    """Something laid on the layout, by hand. Later ones lie on top."""

    kind: ContentKind
    left: float = 0.0
    top: float = 0.0
    width: float = 0.0  # 0: what a text needs; for a picture, all up to the edge
    height: float = 0.0
    unit: Literal["px", "fraction"] = "px"  # of the four above: pixels or parts of the canvas
    keep_aspect_ratio: bool = True
    source: str = (
        ""  # "user" or "user.camera" (0 the first published, -1 the default); others than cameras: "" is anybody's
    )
    url: str = ""  # of a picture
    text: Annotated[str, Field(max_length=512)] = ""  # %timestamp% becomes YYYY-MM-DD HH:MM:SS
    color: Colour = "#FFFFFF"
    background: Colour = "#0000007D"
    font_size: Annotated[int, Field(ge=4, le=256)] = 18
    text_margin: Annotated[int, Field(ge=0, le=256)] = 5
    utc_offset_min: Annotated[int, Field(ge=-1440, le=1440)] = 0


MAX_CONTENTS: Final = 64


class LayoutSpec(Frozen):
    kind: LayoutKind = LayoutKind.FLOAT
    max_resolution_uid: str = ""
    background_color: str = "#000000"
    background_image: str = ""
    default_user_background_image: str = ""
    regions: tuple[Region, ...] = ()
    backgrounds: tuple[UserBackground, ...] = ()
    contents: Annotated[tuple[Content, ...], Field(max_length=MAX_CONTENTS)] = ()
    #: What follows the 3.5 s after a stream stopped where there is no picture for it: the background, or still its last frame.
    after_stop: Literal["background", "last_frame"] = "background"


class VideoSpec(Frozen):
    width: int = 360
    height: int = 640
    fps: int = 15  # effective, see ticks.EFFECTIVE_FPS
    bitrate_bps: int = 500_000


class AudioSpec(Frozen):
    """Contract audioProfile 0: mono 48 kbit/s, 1: mono 128, 2: stereo 192."""

    profile: Literal[0, 1, 2] = 0

    @property
    def channels(self) -> int:
        return 2 if self.profile == 2 else 1

    @property
    def bitrate_bps(self) -> int:
        return (48_000, 128_000, 192_000)[self.profile]


class Selection(Frozen):
    """Whose tracks of one medium are taken: everybody's, a white list's, or all but a black list's."""

    rule: Literal["all", "only", "except", "none"] = "all"
    uids: tuple[str, ...] = ()

    def takes(self, uid: str) -> bool:
        match self.rule:
            case "all":
                return True
            case "only":
                return uid in self.uids
            case "except":
                return uid not in self.uids
            case _:
                return False


class FolderStore(Frozen):
    """A local folder of the operator's."""

    kind: Literal["folder"] = "folder"
    path: str


class S3Store(Frozen):
    """A bucket behind an S3 API; `vendor`/`region` are the contract's numbers, `endpoint` only where the vendor row needs one."""

    kind: Literal["s3"] = "s3"
    vendor: int = 1
    region: int = 0
    bucket: str
    endpoint: str = ""
    sse: str = ""
    tag: str = ""


class MemoryStore(Frozen):
    """Lives in one process; for scripted recordings and tests."""

    kind: Literal["memory"] = "memory"
    name: str = "default"


class SnapshotSpec(Frozen):
    """A JPEG of each user's picture, every so often on the recording's clock."""

    interval_s: Annotated[int, Field(ge=1, le=3600)] = 10


StoreAddress = Annotated[FolderStore | S3Store | MemoryStore, Field(discriminator="kind")]


class RecordingSpec(Frozen):
    version: int = SPEC_VERSION
    mode: Mode = Mode.MIX
    appid: str
    cname: str
    uid: str
    channel: str  # the app's channel address
    channel_type: Literal[0, 1] = 0
    stream_types: Literal[0, 1, 2] = 2
    video_stream_type: Literal[0, 1] = 0
    max_idle_s: int = 30
    slice_s: int = 6
    video: VideoSpec = VideoSpec()
    audio: AudioSpec = AudioSpec()
    layout: LayoutSpec = LayoutSpec()
    audio_from: Selection = Selection()
    video_from: Selection = Selection()
    av_file_type: tuple[Literal["hls", "mp4"], ...] = ("hls",)
    file_prefix: tuple[str, ...] = ()
    store: StoreAddress
    redundancy: int = 1
    playout_delay_ms: int = 800
    #: Individual mode: sound becomes AAC; "standard" adds a playlist that joins a user's streams, "original" keeps Opus.
    stream_mode: Literal["default", "standard", "original"] = "default"
    snapshots: SnapshotSpec | None = None
    keeps_streams: bool = True  # False: snapshots alone are taken

    @property
    def is_pulled(self) -> bool:
        return self.channel.startswith("pull:")

    @property
    def has_audio(self) -> bool:
        return self.stream_types in (0, 2)

    @property
    def has_video(self) -> bool:
        return self.stream_types in (1, 2)


class StoreKeys(Frozen):
    access_key: str = ""
    secret_key: str = ""
    session_token: str = ""
    session_expires_s: int = 0

    def __repr__(self) -> str:
        return "StoreKeys(…)"

    __str__ = __repr__


class Backup(Frozen):
    """The operator's store for what a customer's store does not take; in use once that has failed for `after_s`."""

    address: StoreAddress
    keys: StoreKeys = StoreKeys()
    after_s: float


class Secrets(Frozen):
    """What must not be seen: encrypted in SQL, handed to the recorder through its pipe, wiped when the last upload is proven."""

    channel_token: str = ""
    decryption_secret: str = ""
    decryption_salt: str = ""
    store: StoreKeys = StoreKeys()
    #: Of a pull: channel: its users' URLs as they are now. The channel's, not the recording's: never in its row.
    pulls: dict[str, str] = Field(default_factory=dict)

    def __repr__(self) -> str:
        return "Secrets(…)"

    __str__ = __repr__
