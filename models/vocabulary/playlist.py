"""The playlist as a function of the timeline's rows (RFC 8216). Whoever has the rows can make or compare it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from posixpath import basename

from models.vocabulary.ticks import TICKS_PER_S, seconds

CONTENT_TYPE = "application/vnd.apple.mpegurl"


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored segment, by its place on the recording clock."""

    start_90k: int
    end_90k: int
    key: str


def program_date_time(unix_ms: int) -> str:
    at = datetime.fromtimestamp(unix_ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{unix_ms % 1000:03d}Z"


def render(entries: Sequence[Entry], *, t0_ms: int, slice_s: int, ended: bool) -> str:
    """`entries` in time order, all acknowledged by one store. A DISCONTINUITY stands exactly where a row does not begin
    at the end of the one before: at a seamless edge it makes players jump, without it at a hole native players die.
    """
    longest = max((e.end_90k - e.start_90k for e in entries), default=0)
    target_s = max(slice_s, -(-longest // TICKS_PER_S))
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:3",
        f"#EXT-X-TARGETDURATION:{target_s}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:" + ("VOD" if ended else "EVENT"),
    ]
    before: Entry | None = None
    for entry in entries:
        if before is not None and before.end_90k != entry.start_90k:
            lines.append("#EXT-X-DISCONTINUITY")
        at_ms = t0_ms + entry.start_90k * 1000 // TICKS_PER_S
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{program_date_time(at_ms)}")
        lines.append(f"#EXTINF:{seconds(entry.end_90k - entry.start_90k):.6f},")
        lines.append(basename(entry.key))
        before = entry
    if ended:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"
