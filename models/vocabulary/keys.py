"""Names of objects in the store. A tenure's names never meet another's, and names sort in time order."""

from __future__ import annotations

from datetime import UTC, datetime

from models.vocabulary.streams import Stream
from models.vocabulary.ticks import TICKS_PER_S

#: What a document's name ends with while it waits in the backup store for its turn.
HELD = ".held"


def prefix_path(prefix: tuple[str, ...]) -> str:
    return "".join(f"{part}/" for part in prefix)


def stem(prefix: tuple[str, ...], sid: str, cname: str) -> str:
    return f"{prefix_path(prefix)}{sid}_{safe(cname)}"


def safe(cname: str) -> str:
    """A channel name as part of a key. The contract's charset has none of these; what is not in it never leaves its folder."""
    return "".join("-" if c in "/\\\0" or ord(c) < 32 else c for c in cname)


def utc_17(unix_ms: int) -> str:
    """yyyyMMddHHmmssSSS, UTC."""
    at = datetime.fromtimestamp(unix_ms // 1000, UTC)
    return f"{at:%Y%m%d%H%M%S}{unix_ms % 1000:03d}"


def segment_key(prefix: tuple[str, ...], sid: str, cname: str, t0_ms: int, start_90k: int, epoch: int) -> str:
    """`<sid>_<cname>_<utc>.ts`, utc = time of the segment's first frame plus (epoch mod 1000) ms."""
    at_ms = t0_ms + start_90k * 1000 // TICKS_PER_S + epoch % 1000
    return f"{stem(prefix, sid, cname)}_{utc_17(at_ms)}.ts"


def stream_segment_name(
    sid: str, cname: str, stream: Stream, t0_ms: int, start_90k: int, epoch: int, suffix: str
) -> str:
    """`<sid>_<cname>__uid_s_<uid>__uid_e_<type>_<utc>.ts` or `.webm`; the folder is not in it."""
    at_ms = t0_ms + start_90k * 1000 // TICKS_PER_S + epoch % 1000
    return f"{stem((), sid, cname)}{stream.suffix}_{utc_17(at_ms)}{suffix}"


def stream_playlist_key(prefix: tuple[str, ...], sid: str, cname: str, stream: Stream) -> str:
    return f"{stem(prefix, sid, cname)}{stream.suffix}.m3u8"


def playlist_key(prefix: tuple[str, ...], sid: str, cname: str) -> str:
    return f"{stem(prefix, sid, cname)}.m3u8"


def mp4_key(prefix: tuple[str, ...], sid: str, cname: str, n: int) -> str:
    return f"{stem(prefix, sid, cname)}_{n}.mp4"


def index_key(prefix: tuple[str, ...], sid: str, cname: str) -> str:
    return f"{stem(prefix, sid, cname)}.json"


def backup_key(appid: str, key: str) -> str:
    """Where the backup store has a file: it is one store for all apps."""
    return f"{appid}/{key}"


def held_back_key(key: str) -> str:
    """A document that is to stand in the customer's store, once all that it names does: never served from here."""
    return key + HELD
