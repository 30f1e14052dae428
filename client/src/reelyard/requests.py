"""What is asked: the contract's request blocks, and how they are written (§1, §4–§6).

A field that is None is not sent, so the service's own default holds. Wherever a block is taken, a plain dict in the
contract's spelling is taken too and sent as it is. Ranges are judged by the service, which names the field it refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum, IntEnum, StrEnum
from typing import Any, Final, TypeAlias

Json: TypeAlias = Mapping[str, Any]

_WIRE: Final = "wire"
ALL_STREAMS: Final = "#allstream#"


class Mode(StrEnum):
    INDIVIDUAL = "individual"
    MIX = "mix"
    WEB = "web"


class MixedVideoLayout(IntEnum):
    FLOAT = 0
    BEST_FIT = 1
    VERTICAL = 2
    CUSTOM = 3


def _named(wire: str) -> Any:
    """A field whose name in the contract is not its own name in camelCase."""
    return field(default=None, metadata={_WIRE: wire})


def _secret() -> Any:
    return field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionParams:
    """`sse` "kms" or "aes256"; `tag`; `endpoint` of vendor 11 (any S3-compatible store)."""

    sse: str | None = None
    tag: str | None = None
    endpoint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageConfig:
    """Where the files go. `file_name_prefix` elements are letters and digits; `sts_expiration` is in Unix seconds."""

    vendor: int
    region: int
    bucket: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    sts_token: str | None = _secret()
    sts_expiration: int | None = None
    file_name_prefix: Sequence[str] | None = None
    extension_params: ExtensionParams | Json | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutRegion:
    """One region of a custom layout, in fractions of the canvas; without `uid`, filled in joining order."""

    x_axis: float = field(metadata={_WIRE: "x_axis"})
    y_axis: float = field(metadata={_WIRE: "y_axis"})
    width: float
    height: float
    uid: str | None = None
    alpha: float | None = None
    render_mode: int | None = _named("render_mode")


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundConfig:
    """The picture of one user."""

    uid: str
    image_url: str = field(metadata={_WIRE: "image_url"})
    render_mode: int | None = _named("render_mode")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What updateLayout takes. It replaces the whole layout: what is left out returns to its default."""

    mixed_video_layout: int | None = None
    max_resolution_uid: str | None = None
    background_color: str | None = None
    background_image: str | None = None
    default_user_background_image: str | None = None
    layout_config: Sequence[LayoutRegion | Json] | None = None
    background_config: Sequence[BackgroundConfig | Json] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscodingConfig(Layout):
    """The mixed picture; `bitrate` in kbit/s."""

    width: int
    height: int
    fps: int
    bitrate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingConfig:
    """The channel and what of it is recorded.

    Per medium a list of uids to take or one of uids to leave out, never both; `[ALL_STREAMS]` takes all. A list for one
    medium alone means that the other is not recorded. `max_idle_time` in seconds: so long the recorder waits for users.
    """

    channel_type: int | None = None
    stream_types: int | None = None
    stream_mode: str | None = None
    video_stream_type: int | None = None
    max_idle_time: int | None = None
    audio_profile: int | None = None
    decryption_mode: int | None = None
    secret: str | None = _secret()
    salt: str | None = _secret()
    subscribe_audio_uids: Sequence[str] | None = None
    unsubscribe_audio_uids: Sequence[str] | None = _named("unSubscribeAudioUids")
    subscribe_video_uids: Sequence[str] | None = None
    unsubscribe_video_uids: Sequence[str] | None = _named("unSubscribeVideoUids")
    subscribe_uid_group: int | None = None
    private_params: str | None = None
    transcoding_config: TranscodingConfig | Json | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFileConfig:
    """`["hls"]` or `["hls", "mp4"]`."""

    av_file_type: Sequence[str] = ("hls",)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotConfig:
    """Pictures, mode individual; `capture_interval` in seconds."""

    capture_interval: int | None = None
    file_type: Sequence[str] = ("jpg",)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebRecorder:
    """The page that mode web records; `max_recording_hour` 1 to 720, `max_video_duration` in minutes."""

    url: str
    audio_profile: int
    video_width: int
    video_height: int
    max_recording_hour: int
    video_bitrate: int | None = None
    video_fps: int | None = None
    mobile: bool | None = None
    max_video_duration: int | None = None
    onhold: bool | None = None
    ready_timeout: int | None = None


def web_extensions(page: WebRecorder, *, rtmp_url: str = "") -> Json:
    """`extensionServiceConfig` of mode web: a page, and if wanted a stream of it."""
    services: list[Json] = [
        {
            "serviceName": "web_recorder_service",
            "errorHandlePolicy": "error_abort",
            "serviceParam": to_wire(page),
        }
    ]
    if rtmp_url:
        services.append(
            {
                "serviceName": "rtmp_publish_service",
                "errorHandlePolicy": "error_ignore",
                "serviceParam": {"outputs": [{"rtmpUrl": rtmp_url}]},
            }
        )
    return {"errorHandlePolicy": "error_abort", "extensionServices": services}


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """The `clientRequest` of start, of every mode; which blocks a mode takes is the contract's §1."""

    storage_config: StorageConfig | Json
    token: str | None = _secret()
    recording_config: RecordingConfig | Json | None = None
    recording_file_config: RecordingFileConfig | Json | None = None
    snapshot_config: SnapshotConfig | Json | None = None
    extension_service_config: Json | None = None
    apps_collection: Json | None = None
    transcode_options: Json | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AcquireRequest:
    """The `clientRequest` of acquire."""

    scene: int | None = None
    resource_expired_hour: int | None = None
    start_parameter: StartRequest | Json | None = None
    exclude_resource_ids: Sequence[str] | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioUids:
    subscribe_audio_uids: Sequence[str] | None = None
    unsubscribe_audio_uids: Sequence[str] | None = _named("unSubscribeAudioUids")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoUids:
    subscribe_video_uids: Sequence[str] | None = None
    unsubscribe_video_uids: Sequence[str] | None = _named("unSubscribeVideoUids")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSubscribe:
    audio_uid_list: AudioUids | Json | None = None
    video_uid_list: VideoUids | Json | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRequest:
    """The `clientRequest` of update: subscriptions, a page on hold, a stream's target, fresh keys of the store.

    `onhold` is Reelyard's own, for mixed recordings.
    """

    stream_subscribe: StreamSubscribe | Json | None = None
    web_recording_config: Json | None = None
    rtmp_publish_config: Json | None = None
    storage_config: StorageConfig | Json | None = None
    onhold: bool | None = None


def to_wire(value: object) -> Any:
    """A block as the JSON that the contract wants. Dicts pass unchanged but for the blocks in them."""
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        given = ((part.metadata.get(_WIRE) or _camel(part.name), getattr(value, part.name)) for part in fields(value))
        return {name: to_wire(inner) for name, inner in given if inner is not None}
    if isinstance(value, Mapping):
        return {str(name): to_wire(inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [to_wire(inner) for inner in value]
    return value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
