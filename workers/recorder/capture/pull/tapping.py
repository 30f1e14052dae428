"""One elementary stream of a container: libav's packets in, units out. Nothing is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container.input import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from models.vocabulary.channel import TrackKind
from models.vocabulary.errors import StreamUndecodable
from workers.recorder.capture.pull.elementary import Adts, adts_duration_s, adts_of, has_parameters, is_adts, is_annexb

#: By libav's names.
_VIDEO: Final = {"h264": "h264", "vp8": "vp8", "vp9": "vp9", "av1": "av1"}
_AUDIO: Final = {"opus": "opus", "aac": "aac", "pcm_mulaw": "pcmu", "pcm_alaw": "pcma", "adpcm_g722": "g722"}
#: Codecs of telephones come at their own rates only.
_RATES: Final = {"pcmu": 8000, "pcma": 8000, "g722": 16000}
_OPUS_S: Final = 0.02
MAX_UNIT_BYTES: Final = 8 << 20

AnyPacket: TypeAlias = "Packet[Any]"  # generic for type checkers only


@dataclass(frozen=True, slots=True)
class Tapped:
    """What a unit holds; `stamp_s` on its source's own time line, in the order of decoding."""

    data: bytes
    stamp_s: float
    shown_later_s: float
    key: bool
    duration_s: float | None


class Tap:
    """Raises `StreamUndecodable` for a stream that nothing can be made of."""

    def __init__(self, stream: VideoStream | AudioStream) -> None:
        self.index = stream.index
        self.kind = TrackKind.VIDEO if isinstance(stream, VideoStream) else TrackKind.AUDIO
        name = stream.codec.canonical_name
        found = (_VIDEO if self.kind is TrackKind.VIDEO else _AUDIO).get(name)
        if found is None:
            raise StreamUndecodable(f"{self.kind} in {name} is not taken")
        self.codec = found
        self._extradata = bytes(stream.codec_context.extradata or b"")
        self._filter: BitStreamFilterContext | None = None
        self._adts: Adts | None = None
        match found:
            case "h264" if self._extradata and not is_annexb(self._extradata):
                self._filter = BitStreamFilterContext("h264_mp4toannexb", stream)
            case "aac" if self._extradata:
                self._adts = adts_of(self._extradata)
            case _ if isinstance(stream, AudioStream) and found in _RATES and stream.sample_rate != _RATES[found]:
                raise StreamUndecodable(f"{name} at {stream.sample_rate} Hz is not taken")
        self._unstamped: list[AnyPacket] = []

    def units(self, packet: AnyPacket) -> Iterator[Tapped]:
        """Those without a time stamp wait for the next one that has one."""
        if packet.dts is None and packet.pts is None:
            if len(self._unstamped) < 8:  # a source that never stamps is not waited for
                self._unstamped.append(packet)
            return
        early, self._unstamped = self._unstamped, []
        for n, other in enumerate(early):
            yield from self._made(other, _stamp_s(packet) - 0.001 * (len(early) - n), 0.0)
        later_s = 0.0
        if self.kind is TrackKind.VIDEO and packet.pts is not None and packet.dts is not None:
            later_s = max(0.0, float((packet.pts - packet.dts) * packet.time_base))
        yield from self._made(packet, _stamp_s(packet), later_s)

    def _made(self, packet: AnyPacket, stamp_s: float, later_s: float) -> Iterator[Tapped]:
        key = bool(packet.is_keyframe) or self.kind is TrackKind.AUDIO
        duration_s = float(packet.duration * packet.time_base) if packet.duration and packet.time_base else None
        for whole in [packet] if self._filter is None else self._filter.filter(packet):
            data = bytes(whole)
            if not data or len(data) > MAX_UNIT_BYTES:
                continue
            if self.kind is TrackKind.AUDIO:
                data, duration_s = self._sound(data, duration_s)
            elif self.codec == "h264" and key and not has_parameters(data) and is_annexb(self._extradata):
                data = self._extradata + data
            yield Tapped(data, stamp_s, later_s, key, duration_s)

    def _sound(self, data: bytes, duration_s: float | None) -> tuple[bytes, float]:
        if self._adts is not None and not is_adts(data):
            return self._adts.framed(data), self._adts.duration_s
        if self.codec == "aac":
            return data, adts_duration_s(data)
        if self.codec in _RATES:
            return data, len(data) / 8000  # 64 kbit/s, all of them
        return data, duration_s or _OPUS_S


def _stamp_s(packet: AnyPacket) -> float:
    stamp = packet.dts if packet.dts is not None else packet.pts
    assert stamp is not None and packet.time_base is not None
    return float(stamp * packet.time_base)


def taps_of(container: InputContainer) -> tuple[list[Tap], list[str]]:
    """The first stream of each kind that can be taken, and why others cannot."""
    taps: list[Tap] = []
    why: list[str] = []
    for stream in container.streams:
        if any(tap.kind is kind_of(stream) for tap in taps) or stream.disposition & Disposition.attached_pic:
            continue
        if isinstance(stream, VideoStream | AudioStream):
            try:
                taps.append(Tap(stream))
            except StreamUndecodable as error:
                why.append(error.text)
    return taps, why


def kind_of(stream: Stream) -> TrackKind | None:
    match stream:
        case VideoStream():
            return TrackKind.VIDEO
        case AudioStream():
            return TrackKind.AUDIO
        case _:
            return None
