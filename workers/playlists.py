"""The playlists of a recording: one of a mix; one for each user's stream of an individual recording, and one that joins them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from posixpath import basename

from models.vocabulary import keys, playlist
from models.vocabulary.playlist import Entry
from models.vocabulary.spec import Mode, RecordingSpec
from models.vocabulary.streams import JOINED, MIX, Shape, Stream
from models.vocabulary.ticks import TICKS_PER_S

#: Of an H.264 stream and AAC in mpegts a player wants to know the rate before it asks; it is measured, this is the least.
LEAST_BPS = 64_000

Found = Callable[[str], Sequence[Entry]]  # what a track's playlist may list


def documents(
    spec: RecordingSpec, sid: str, tracks: Sequence[str], found: Found, *, t0_ms: int, ended: bool
) -> list[tuple[str, str]]:
    """(key, text) of every playlist that has something to list."""
    names = (spec.file_prefix, sid, spec.cname)
    if spec.mode is Mode.MIX:
        entries = found(MIX)
        text = playlist.render(entries, t0_ms=t0_ms, slice_s=spec.slice_s, ended=ended)
        return [(keys.playlist_key(*names), text)] if entries else []
    made: list[tuple[str, str]] = []
    by_user: dict[str, dict[Stream, Sequence[Entry]]] = defaultdict(dict)
    for track in tracks:
        stream = Stream.of(track)
        if not (entries := found(track)):
            continue
        by_user[stream.uid][stream] = entries
        text = playlist.render(entries, t0_ms=t0_ms, slice_s=spec.slice_s, ended=ended, stream=stream)
        made.append((keys.stream_playlist_key(*names, stream), text))
    if spec.stream_mode == "standard":
        for uid, streams in by_user.items():
            key = keys.stream_playlist_key(*names, Stream(uid, JOINED))
            made += [(key, text)] if (text := joined(spec, sid, streams)) else []
    return made


def joined(spec: RecordingSpec, sid: str, streams: dict[Stream, Sequence[Entry]]) -> str:
    """A user's sound and pictures as one presentation (RFC 8216 §4.3.4). Empty where he sent only one of them, or what
    HLS players cannot read.
    """
    playable = {s: e for s, e in streams.items() if all(entry.key.endswith(".ts") for entry in e)}
    sounds = [s for s in playable if s.medium == "audio"]
    pictures = [s for s in playable if s.medium == "video"]
    if not sounds or not pictures:
        return ""
    names = (spec.file_prefix, sid, spec.cname)
    lines = ["#EXTM3U", "#EXT-X-VERSION:4", "#EXT-X-INDEPENDENT-SEGMENTS"]
    for n, sound in enumerate(sounds):
        uri = basename(keys.stream_playlist_key(*names, sound))
        default = "YES" if n == 0 else "NO"
        lines.append(
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="{sound.type}",DEFAULT={default},AUTOSELECT=YES,URI="{uri}"'
        )
    for picture in pictures:
        shape = Shape.parse(playable[picture][-1].shape)
        size = "" if shape is None else f",RESOLUTION={shape.width}x{shape.height}"
        lines.append(f'#EXT-X-STREAM-INF:BANDWIDTH={_rate_bps(playable[picture])}{size},AUDIO="sound"')
        lines.append(basename(keys.stream_playlist_key(*names, picture)))
    return "\n".join(lines) + "\n"


def _rate_bps(entries: Sequence[Entry]) -> int:
    rates = [e.bytes * 8 * TICKS_PER_S // (e.end_90k - e.start_90k) for e in entries]
    return LEAST_BPS + max(rates, default=0)
