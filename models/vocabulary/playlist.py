"""The playlist as a function of the timeline's rows (RFC 8216). Whoever has the rows can make or compare it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from posixpath import basename

from models.vocabulary.keys import utc_17
from models.vocabulary.streams import Shape, Stream
from models.vocabulary.ticks import TICKS_PER_S, seconds

CONTENT_TYPE = "application/vnd.apple.mpegurl"
_URI = re.compile(r'\bURI="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored segment, by its place on the recording clock."""

    start_90k: int
    end_90k: int
    key: str
    shape: str = ""  # of a single sender's pictures
    bytes: int = 0


def program_date_time(unix_ms: int) -> str:
    at = datetime.fromtimestamp(unix_ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{unix_ms % 1000:03d}Z"


def render(entries: Sequence[Entry], *, t0_ms: int, slice_s: int, ended: bool, stream: Stream | None = None) -> str:
    """`entries` in time order, all acknowledged by one store. A DISCONTINUITY stands exactly where a row does not begin
    at the end of the one before: at a seamless edge it makes players jump, without it at a hole native players die.

    A single `stream`'s has the contract's tags, too, and a DISCONTINUITY where its pictures begin to look different.
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
        if before is not None and (before.end_90k != entry.start_90k or _looks_different(before, entry)):
            lines.append("#EXT-X-DISCONTINUITY")
        at_ms = t0_ms + entry.start_90k * 1000 // TICKS_PER_S
        if stream is not None:
            lines += _tags(stream, before, entry, at_ms)
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{program_date_time(at_ms)}")
        lines.append(f"#EXTINF:{seconds(entry.end_90k - entry.start_90k):.6f},")
        lines.append(basename(entry.key))
        before = entry
    if ended:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


def _looks_different(before: Entry, entry: Entry) -> bool:
    return before.shape != entry.shape or before.key.rpartition(".")[2] != entry.key.rpartition(".")[2]


def _tags(stream: Stream, before: Entry | None, entry: Entry, at_ms: int) -> list[str]:
    """The contract's (§3): where a stream starts or starts again, and where its pictures change their size or turn."""
    tags = []
    if before is None or before.end_90k != entry.start_90k:
        kind = stream.medium.upper()
        tags.append(f"#EXT-X-AGORA-TRACK-EVENT:EVENT=START,TRACK_TYPE={kind},TIME={utc_17(at_ms)}")
    shape = Shape.parse(entry.shape)
    if shape is not None and (before is None or before.shape != entry.shape):
        turned = (360 - shape.rotation) % 360  # anticlockwise there
        size = f"WIDTH={shape.width},HEIGHT={shape.height}"
        tags.append(f"#EXT-X-AGORA-ROTATE:{size},ROTATE={turned},TIME={utc_17(at_ms)}")
    return tags


def addressed(text: str, address: Callable[[str], str]) -> str:
    """A playlist with another address for each of its files. Files are named on lines of their own (RFC 8216 §4.1), or as
    the URI of a tag (§4.3.4.1).
    """

    def placed(line: str) -> str:
        if line.startswith("#EXT-X-MEDIA:"):
            return _URI.sub(lambda found: f'URI="{address(found[1])}"', line)
        return line if not line.strip() or line.startswith("#") else address(line.strip())

    return "\n".join(map(placed, text.splitlines())) + "\n"
