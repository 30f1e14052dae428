"""What a caller orders, as values: the requests of the contract after their shapes are known to be right.

Only shapes: ranges and rules between fields are judged by `scheduler.rules`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from models.vocabulary.spec import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquire:
    cname: str
    uid: str
    scene: int = 0
    resource_expired_hour: int = 72
    region: str = ""
    exclude_resource_ids: tuple[str, ...] = ()
    start_parameter: dict[str, Any] | None = field(default=None, repr=False)  # may hold keys: never stored as it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """storageConfig."""

    vendor: int
    region: int
    bucket: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    sts_token: str = field(default="", repr=False)
    sts_expiration_s: int = 0
    prefix: tuple[str, ...] = ()
    sse: str = ""
    tag: str = ""
    endpoint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutRegion:
    uid: str = ""
    x: float
    y: float
    width: float
    height: float
    alpha: float = 1.0
    render_mode: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPicture:
    uid: str
    image_url: str
    render_mode: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    mixed_video_layout: int = 0
    max_resolution_uid: str = ""
    background_color: str = "#000000"
    background_image: str = ""
    default_user_background_image: str = ""
    regions: tuple[LayoutRegion, ...] = ()
    backgrounds: tuple[UserPicture, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcoding:
    """transcodingConfig; None: the request does not say."""

    width: int | None = None
    height: int | None = None
    fps: int | None = None
    bitrate_kbps: int | None = None
    layout: Layout = Layout()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """None: the list is not given. An empty one counts as not given, too."""

    audio: tuple[str, ...] | None = None
    audio_not: tuple[str, ...] | None = None
    video: tuple[str, ...] | None = None
    video_not: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    cname: str
    uid: str
    mode: Mode
    storage: Storage
    token: str = field(default="", repr=False)
    channel_type: int = 0
    stream_types: int = 2
    video_stream_type: int = 0
    max_idle_s: int = 30
    audio_profile: int = 0
    decryption_mode: int = 0
    decryption_secret: str = field(default="", repr=False)
    decryption_salt: str = field(default="", repr=False)
    subscription: Subscription = Subscription()
    subscribe_uid_group: int | None = None
    transcoding: Transcoding | None = None
    av_file_type: tuple[str, ...] = ("hls",)
    warnings: tuple[str, ...] = ()  # what the shapes said already: unknown, misplaced, null


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    cname: str
    uid: str
    async_stop: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Whose recording it is: what hold and cancel need."""

    cname: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Update(Change):
    """What is None stays as it is."""

    subscription: Subscription | None = None
    storage: Storage | None = None
    on_hold: bool | None = None
    outputs: tuple[str, ...] | None = field(default=None, repr=False)  # RTMP addresses: they carry stream keys
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateLayout(Change):
    """The whole layout: what is left out is at its default."""

    layout: Layout
    warnings: tuple[str, ...] = ()
