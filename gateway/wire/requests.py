"""The requests of the contract (§1, §4–§6): types only. What the values may be is judged by `scheduler.rules`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import AliasChoices, Field

from gateway.wire.body import Shape
from gateway.wire.layouts import LayoutFields
from gateway.wire.modes import AppsCollection, ExtensionServiceConfig, RtmpOutput, SnapshotConfig, TranscodeOptions
from models.vocabulary.spec import Mode
from scheduler import orders

EMPTY: Final[Mapping[str, Any]] = {}


def digest(given: Mapping[str, Any]) -> str:
    """Of a clientRequest, whatever the order of its fields."""
    text = json.dumps(given, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class AcquireClient(Shape):
    scene: int = 0
    resource_expired_hour: int = 72
    start_parameter: dict[str, Any] | None = None
    exclude_resource_ids: list[str] = Field(default_factory=list)
    region: str = ""
    region_affinity: int | None = None


class AcquireRequest(Shape):
    cname: str
    uid: str
    client_request: AcquireClient = Field(default_factory=AcquireClient)

    def order(self) -> orders.Acquire:
        asked = self.client_request
        return orders.Acquire(
            cname=self.cname,
            uid=self.uid,
            scene=asked.scene,
            resource_expired_hour=asked.resource_expired_hour,
            region=asked.region,
            exclude_resource_ids=tuple(asked.exclude_resource_ids),
            start_digest="" if asked.start_parameter is None else digest(asked.start_parameter),
            warnings=("clientRequest.regionAffinity is not used: this farm is one region",)
            if asked.region_affinity is not None
            else (),
        )


class TranscodingConfig(LayoutFields):
    width: int | None = None
    height: int | None = None
    fps: int | None = None
    bitrate: int | None = None  # kbit/s

    def transcoding(self) -> orders.Transcoding:
        return orders.Transcoding(
            width=self.width, height=self.height, fps=self.fps, bitrate_kbps=self.bitrate, layout=self.layout()
        )


def _black(medium: str) -> AliasChoices:
    """The black list's name as the contract's sources spell it (§0)."""
    return AliasChoices(f"unSubscribe{medium}Uids", f"unsubscribe{medium}Uids", f"unsunscribe{medium}Uids")


def _values(uids: list[str] | None) -> tuple[str, ...] | None:
    return None if uids is None else tuple(uids)


class RecordingConfig(Shape):
    channel_type: int = 0
    stream_types: int = 2
    stream_mode: str | None = None
    video_stream_type: int = 0
    max_idle_time: int = 30
    audio_profile: int = 0
    decryption_mode: int = 0
    secret: str = Field("", repr=False)
    salt: str = Field("", repr=False)
    subscribe_audio_uids: list[str] | None = None
    un_subscribe_audio_uids: list[str] | None = Field(
        None, alias="unSubscribeAudioUids", validation_alias=_black("Audio")
    )
    subscribe_video_uids: list[str] | None = None
    un_subscribe_video_uids: list[str] | None = Field(
        None, alias="unSubscribeVideoUids", validation_alias=_black("Video")
    )
    subscribe_uid_group: int | None = None
    private_params: str | None = None
    transcoding_config: TranscodingConfig | None = None

    def subscription(self) -> orders.Subscription:
        return orders.Subscription(
            audio=_values(self.subscribe_audio_uids),
            audio_not=_values(self.un_subscribe_audio_uids),
            video=_values(self.subscribe_video_uids),
            video_not=_values(self.un_subscribe_video_uids),
        )


class RecordingFileConfig(Shape):
    av_file_type: list[str] = Field(default_factory=lambda: ["hls"])


class ExtensionParams(Shape):
    sse: str = ""
    tag: str = ""
    endpoint: str = ""


class StorageConfig(Shape):
    vendor: int
    region: int
    bucket: str
    access_key: str = Field(repr=False)
    secret_key: str = Field(repr=False)
    sts_token: str = Field("", repr=False)
    sts_expiration: int = Field(0, ge=0, lt=2**63)
    file_name_prefix: list[str] = Field(default_factory=list)
    extension_params: ExtensionParams = Field(default_factory=ExtensionParams)

    def storage(self) -> orders.Storage:
        return orders.Storage(
            vendor=self.vendor,
            region=self.region,
            bucket=self.bucket,
            access_key=self.access_key,
            secret_key=self.secret_key,
            sts_token=self.sts_token,
            sts_expiration_s=self.sts_expiration,
            prefix=tuple(self.file_name_prefix),
            sse=self.extension_params.sse,
            tag=self.extension_params.tag,
            endpoint=self.extension_params.endpoint,
        )


class StartClient(Shape):
    token: str = Field("", repr=False)
    storage_config: StorageConfig
    recording_config: RecordingConfig = Field(default_factory=RecordingConfig)
    recording_file_config: RecordingFileConfig = Field(default_factory=RecordingFileConfig)
    snapshot_config: SnapshotConfig | None = None
    extension_service_config: ExtensionServiceConfig | None = None
    apps_collection: AppsCollection | None = None
    transcode_options: TranscodeOptions | None = None


class StartRequest(Shape):
    cname: str
    uid: str
    client_request: StartClient

    def order(self, mode: Mode, warnings: list[str], given: Mapping[str, Any] = EMPTY) -> orders.Start:
        """`given`: the clientRequest as it came, to be compared with acquire's startParameter."""
        asked = self.client_request
        recording = asked.recording_config
        if recording.private_params is not None:
            warnings = [*warnings, "clientRequest.recordingConfig.privateParams is not used"]
        services, collection = asked.extension_service_config, asked.apps_collection
        snapshots, transcode = asked.snapshot_config, asked.transcode_options
        transcoding = recording.transcoding_config
        return orders.Start(
            cname=self.cname,
            uid=self.uid,
            mode=mode,
            storage=asked.storage_config.storage(),
            token=asked.token,
            channel_type=recording.channel_type,
            stream_types=recording.stream_types,
            video_stream_type=recording.video_stream_type,
            max_idle_s=recording.max_idle_time,
            audio_profile=recording.audio_profile,
            decryption_mode=recording.decryption_mode,
            decryption_secret=recording.secret,
            decryption_salt=recording.salt,
            subscription=recording.subscription(),
            subscribe_uid_group=recording.subscribe_uid_group,
            transcoding=None if transcoding is None else transcoding.transcoding(),
            av_file_type=tuple(asked.recording_file_config.av_file_type),
            recording_given="recording_config" in asked.model_fields_set,
            files_given="recording_file_config" in asked.model_fields_set,
            stream_mode=recording.stream_mode,
            snapshots=None if snapshots is None else snapshots.order(),
            services=None if services is None else tuple(s.order() for s in services.extension_services),
            combination_policy=None if collection is None else collection.combination_policy,
            transcode=None if transcode is None else transcode.order(),
            digest=digest(given),
            warnings=tuple(warnings),
        )


class StopClient(Shape):
    async_stop: bool = Field(False, alias="async_stop")


class StopRequest(Shape):
    cname: str
    uid: str
    client_request: StopClient = Field(default_factory=StopClient)

    def order(self, warnings: Iterable[str] = ()) -> orders.Stop:
        asynchronous = self.client_request.async_stop
        return orders.Stop(cname=self.cname, uid=self.uid, async_stop=asynchronous, warnings=tuple(warnings))


class AudioUidList(Shape):
    subscribe_audio_uids: list[str] | None = None
    un_subscribe_audio_uids: list[str] | None = Field(
        None, alias="unSubscribeAudioUids", validation_alias=_black("Audio")
    )


class VideoUidList(Shape):
    subscribe_video_uids: list[str] | None = None
    un_subscribe_video_uids: list[str] | None = Field(
        None, alias="unSubscribeVideoUids", validation_alias=_black("Video")
    )


class StreamSubscribe(Shape):
    audio_uid_list: AudioUidList = Field(default_factory=AudioUidList)
    video_uid_list: VideoUidList = Field(default_factory=VideoUidList)

    def subscription(self) -> orders.Subscription:
        audio, video = self.audio_uid_list, self.video_uid_list
        return orders.Subscription(
            audio=_values(audio.subscribe_audio_uids),
            audio_not=_values(audio.un_subscribe_audio_uids),
            video=_values(video.subscribe_video_uids),
            video_not=_values(video.un_subscribe_video_uids),
        )


class WebRecordingConfig(Shape):
    onhold: bool | None = None


class RtmpPublishConfig(Shape):
    outputs: list[RtmpOutput] = Field(default_factory=list)


class UpdateClient(Shape):
    """`onhold` beside `webRecordingConfig.onhold` is our extension: the contract pauses web recordings only."""

    stream_subscribe: StreamSubscribe | None = None
    storage_config: StorageConfig | None = None
    web_recording_config: WebRecordingConfig | None = None
    rtmp_publish_config: RtmpPublishConfig | None = None
    onhold: bool | None = None


class UpdateRequest(Shape):
    cname: str
    uid: str
    client_request: UpdateClient

    def order(self, warnings: list[str]) -> orders.Update:
        asked = self.client_request
        subscribe, storage, rtmp = asked.stream_subscribe, asked.storage_config, asked.rtmp_publish_config
        web = asked.web_recording_config
        return orders.Update(
            cname=self.cname,
            uid=self.uid,
            subscription=None if subscribe is None else subscribe.subscription(),
            storage=None if storage is None else storage.storage(),
            on_hold=web.onhold if web is not None and web.onhold is not None else asked.onhold,
            outputs=None if rtmp is None else tuple(output.rtmp_url for output in rtmp.outputs),
            warnings=tuple(warnings),
        )


class UpdateLayoutRequest(Shape):
    cname: str
    uid: str
    client_request: LayoutFields

    def order(self, warnings: list[str]) -> orders.UpdateLayout:
        layout = self.client_request.layout()
        return orders.UpdateLayout(cname=self.cname, uid=self.uid, layout=layout, warnings=tuple(warnings))


class TokenRequest(Shape):
    """POST …/whip-tokens."""

    cname: str
    uid: str
    ttl_s: int = Field(3600, alias="ttl_s", ge=1, le=86_400)


class PullRequest(Shape):
    """PUT …/channels/{cname}/users/{uid}."""

    url: str = Field(repr=False)
