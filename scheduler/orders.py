"""What a caller orders, as values: the requests of the contract after their shapes are known to be right.

Only shapes: ranges and rules between fields are judged by `scheduler.rules`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from models.vocabulary.spec import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquire:
    cname: str
    uid: str
    scene: int = 0
    resource_expired_hour: int = 72
    region: str = ""
    exclude_resource_ids: tuple[str, ...] = ()
    start_digest: str = ""  # of startParameter: it may hold keys, so it is never stored as it is
    warnings: tuple[str, ...] = ()


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
class Content:
    """One of `contents`, our extension; `given` are the names of the fields that the request has."""

    kind: str
    left: float = 0.0
    top: float = 0.0
    width: float = 0.0
    height: float = 0.0
    unit: str = "px"
    keep_aspect_ratio: bool = True
    source: str = ""
    url: str = ""
    text: str = ""
    color: str = "#FFFFFF"
    background: str = "#0000007D"
    font_size: int = 18
    text_margin: int = 5
    utc_offset_min: int = 0
    given: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    mixed_video_layout: int = 0
    max_resolution_uid: str = ""
    background_color: str = "#000000"
    background_image: str = ""
    default_user_background_image: str = ""
    regions: tuple[LayoutRegion, ...] = ()
    backgrounds: tuple[UserPicture, ...] = ()
    contents: tuple[Content, ...] = ()
    after_stop: str = "background"


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
class Snapshots:
    """snapshotConfig."""

    interval_s: int = 10
    file_types: tuple[str, ...] = ("jpg",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionService:
    """One of extensionServiceConfig's: the web recorder, or RTMP publishing."""

    name: str
    error_policy: str = ""
    url: str = field(default="", repr=False)  # pages' addresses carry tokens
    audio_profile: int | None = None
    width: int | None = None
    height: int | None = None
    max_hours: int | None = None
    bitrate_kbps: int | None = None
    fps: int = 15
    max_file_minutes: int = 120
    ready_timeout_s: int = 0
    outputs: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscodeOptions:
    mode: str
    container: str = "mp4"
    sample_rate: str = "48000"
    bitrate: str = "48000"
    channels: str = "2"


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
    recording_given: bool = True  # whether there is a recordingConfig at all
    stream_mode: str | None = None
    snapshots: Snapshots | None = None
    files_given: bool = True  # whether there is a recordingFileConfig: without it, snapshots are all that is wanted
    services: tuple[ExtensionService, ...] | None = None
    combination_policy: str | None = None
    transcode: TranscodeOptions | None = None
    digest: str = ""  # of the whole clientRequest
    warnings: tuple[str, ...] = ()  # what the shapes said already: unknown, misplaced, null


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    cname: str
    uid: str
    async_stop: bool = False
    warnings: tuple[str, ...] = ()


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
