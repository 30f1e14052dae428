"""HLS playlists as far as they are not left to libav (RFC 8216): one variant of a master playlist, and what is refused. Pure."""

from __future__ import annotations

import re
from typing import Final

#: Much longer than any playlist of segments that are still there.
MOST_BYTES: Final = 4 << 20
#: libav keeps a whole URL for each segment, so a playlist of short lines grows a hundredfold in memory.
MOST_LINES: Final = 60_000
MAGIC: Final = b"#EXTM3U"
TYPES: Final = frozenset({"application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "audio/x-mpegurl"})
#: Begins where an attribute may, and never goes back: linear in whatever line a server sends.
_ATTRIBUTE: Final = re.compile(r'(?:^|,)\s*+([A-Z0-9-]++)=("[^"]*+"|[^",]*+)')
_VARIANT, _MEDIA, _KEY = "#EXT-X-STREAM-INF:", "#EXT-X-MEDIA:", "#EXT-X-KEY:"
#: Lines that name further playlists, besides these.
_OTHERS: Final = (
    "#EXT-X-I-FRAME-STREAM-INF:",
    "#EXT-X-SESSION-DATA:",
    "#EXT-X-SESSION-KEY:",
    "#EXT-X-CONTENT-STEERING:",
)


def narrowed(playlist: str) -> str:
    """A master playlist with its richest variant alone, and that one's sound: what is not recorded is not fetched.
    Others as `listing` makes them.
    """
    lines = [line.strip() for line in playlist.splitlines()]
    variants: list[tuple[dict[str, str], int, int]] = []
    opened: int | None = None
    for at, line in enumerate(lines):
        if line.startswith(_VARIANT):
            opened = at
        elif opened is not None and line and not line.startswith("#"):
            variants.append((attributes(lines[opened]), opened, at))
            opened = None
    if not variants:
        return listing(playlist)
    best, n, at = max(variants, key=lambda variant: _number(variant[0].get("BANDWIDTH", "0")))
    sounds = [line for line in lines if line.startswith(_MEDIA) and _sounds(line, best.get("AUDIO"))]
    sounds.sort(key=lambda line: attributes(line).get("DEFAULT") != "YES")
    kept = [line for line in lines if line.startswith("#") and not line.startswith((_VARIANT, _MEDIA, *_OTHERS))]
    return "\n".join([*kept, *sounds[:1], lines[n], lines[at], ""])


def listing(playlist: str) -> str:
    """Without what names further playlists: one that another one has named, or that has no variants, lists segments only,
    or a server could send us from each to the next for ever.
    """
    lines = playlist.splitlines()
    kept = [line for line in lines if not line.lstrip().startswith((_VARIANT, _MEDIA, *_OTHERS))]
    return playlist if len(kept) == len(lines) else "\n".join([*kept, ""])


def encrypted(playlist: str) -> bool:
    keys = (attributes(line) for line in playlist.splitlines() if line.startswith(_KEY))
    return any(key.get("METHOD", "NONE") != "NONE" for key in keys)


def ended(playlist: str) -> bool:
    """Whether nothing will be added to it."""
    return any(line.strip() == "#EXT-X-ENDLIST" for line in playlist.splitlines())


def attributes(line: str) -> dict[str, str]:
    found = _ATTRIBUTE.findall(line.partition(":")[2])
    return {name: value.strip('"') for name, value in found}


def _sounds(line: str, group: str | None) -> bool:
    media = attributes(line)
    return group is not None and media.get("TYPE") == "AUDIO" and media.get("GROUP-ID") == group


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
