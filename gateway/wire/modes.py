"""Shapes of what individual and web mode add to start (contract §1, §5). Types only."""

from __future__ import annotations

from pydantic import Field

from gateway.wire.body import Shape
from scheduler import orders


class SnapshotConfig(Shape):
    capture_interval: int = 10
    file_type: list[str] = Field(default_factory=lambda: ["jpg"])

    def order(self) -> orders.Snapshots:
        return orders.Snapshots(interval_s=self.capture_interval, file_types=tuple(self.file_type))


class RtmpOutput(Shape):
    rtmp_url: str = Field(repr=False)


class ServiceParam(Shape):
    """Of web_recorder_service and, its last field, of rtmp_publish_service."""

    url: str = ""
    audio_profile: int | None = None
    video_width: int | None = None
    video_height: int | None = None
    max_recording_hour: int | None = None
    video_bitrate: int | None = None
    video_fps: int = 15
    mobile: bool = False
    max_video_duration: int = 120
    onhold: bool = False
    ready_timeout: int = 0
    outputs: list[RtmpOutput] = Field(default_factory=list)


class ExtensionService(Shape):
    service_name: str
    error_handle_policy: str = ""
    stream_types: int | None = None  # of the Aliyun VOD service that mix mode once had
    service_param: ServiceParam = Field(default_factory=ServiceParam)

    def order(self) -> orders.ExtensionService:
        asked = self.service_param
        return orders.ExtensionService(
            name=self.service_name,
            error_policy=self.error_handle_policy,
            url=asked.url,
            audio_profile=asked.audio_profile,
            width=asked.video_width,
            height=asked.video_height,
            max_hours=asked.max_recording_hour,
            bitrate_kbps=asked.video_bitrate,
            fps=asked.video_fps,
            max_file_minutes=asked.max_video_duration,
            ready_timeout_s=asked.ready_timeout,
            outputs=tuple(output.rtmp_url for output in asked.outputs),
        )


class ExtensionServiceConfig(Shape):
    error_handle_policy: str = ""
    api_version: str = ""
    extension_services: list[ExtensionService] = Field(default_factory=list)


class AppsCollection(Shape):
    combination_policy: str = "default"


class TransConfig(Shape):
    trans_mode: str = ""


class Container(Shape):
    format: str = "mp4"


class TranscodeAudio(Shape):
    sample_rate: str = "48000"
    bitrate: str = "48000"
    channels: str = "2"


class TranscodeOptions(Shape):
    trans_config: TransConfig = Field(default_factory=TransConfig)
    container: Container = Field(default_factory=Container)
    audio: TranscodeAudio = Field(default_factory=TranscodeAudio)

    def order(self) -> orders.TranscodeOptions:
        return orders.TranscodeOptions(
            mode=self.trans_config.trans_mode,
            container=self.container.format,
            sample_rate=self.audio.sample_rate,
            bitrate=self.audio.bitrate,
            channels=self.audio.channels,
        )
