"""A transport stream as it lies there: packets and their counters (ISO/IEC 13818-1 §2.4), access units and their times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import av

PACKET_BYTES: Final = 188
_PAT: Final = 0
_NULL: Final = 8191
#: Times in a transport stream have 33 bits: they start again after 26.5 h.
WRAP_90K: Final = 1 << 33
_NAL: Final = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
_SPS, _PPS, _IDR = 7, 8, 5


@dataclass(slots=True)
class Times:
    """Presentation times of one segment, sorted, as they stand in the file."""

    video_90k: list[int] = field(default_factory=list)
    audio_90k: list[int] = field(default_factory=list)
    video_codec: str = ""
    begins_with_idr: bool = False


def check_packets(path: Path, counters: dict[int, int]) -> list[str]:
    """Walk over the packets; `counters` (by PID) go on from segment to segment and are brought up to date."""
    content = path.read_bytes()
    if not content or len(content) % PACKET_BYTES:
        return ["is no whole number of transport packets"]
    wrong: list[str] = []
    pmt_pid, seen_pmt, breaks = -1, False, 0
    for at in range(0, len(content), PACKET_BYTES):
        packet = content[at : at + PACKET_BYTES]
        if packet[0] != 0x47:
            return [*wrong, f"has no transport packet at byte {at}"]
        pid = (packet[1] & 0x1F) << 8 | packet[2]
        if pid == _NULL:
            continue
        breaks += not _continues(packet, pid, counters)
        if pid == _PAT and pmt_pid < 0:
            pmt_pid = _first_pmt(packet)
        elif pid == pmt_pid:
            seen_pmt = True
        elif packet[1] & 0x40 and pid > 0x1F and not seen_pmt:  # a PES packet before the tables
            wrong.append("does not start with PAT and PMT")
            seen_pmt = True
    if breaks:
        wrong.append(f"{breaks} continuity counters jump")
    return wrong


def unwrap(time_90k: int, near_90k: int) -> int:
    """The time that has these 33 bits and lies nearest to another."""
    return time_90k + round((near_90k - time_90k) / WRAP_90K) * WRAP_90K


def times_of(path: Path) -> Times:
    """Raises `ValueError` when libav cannot read the file."""
    times = Times()
    for packet, is_video in packets_of(path):
        if packet.pts is None:
            continue
        if not is_video:
            times.audio_90k.append(packet.pts)
            continue
        if not times.video_90k:
            times.video_codec = packet.stream.codec_context.name
            times.begins_with_idr = _is_idr(bytes(packet)) if times.video_codec == "h264" else packet.is_keyframe
        times.video_90k.append(packet.pts)
    times.video_90k.sort()
    times.audio_90k.sort()
    return times


def packets_of(path: Path) -> Iterator[tuple[av.Packet[Any], bool]]:
    """Access units in the file's order, each with whether it is video. Raises `ValueError`."""
    try:
        with av.open(path, format="mpegts") as container:
            video = container.streams.video[:1]
            audio = container.streams.audio[:1]
            for stream in video:
                stream.codec_context.thread_count = 1
            for packet in container.demux(*video, *audio):
                yield packet, packet.stream.type == "video"
    except av.error.FFmpegError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error


def _continues(packet: bytes, pid: int, counters: dict[int, int]) -> bool:
    counter, has_payload = packet[3] & 0x0F, bool(packet[3] & 0x10)
    flagged = bool(packet[3] & 0x20) and packet[4] > 0 and bool(packet[5] & 0x80)
    expected = (counters.get(pid, counter - 1) + has_payload) & 0x0F
    counters[pid] = counter
    return flagged or counter == expected


def _first_pmt(packet: bytes) -> int:
    """PID of the first programme in a PAT packet."""
    at = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
    at += 1 + packet[at] + 8  # pointer field, then the section's header
    return (packet[at + 2] & 0x1F) << 8 | packet[at + 3]


def _is_idr(unit: bytes) -> bool:
    kinds = [found[0] & 0x1F for found in _NAL.findall(unit)]
    return {_SPS, _PPS, _IDR} <= set(kinds)
