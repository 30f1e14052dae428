"""What an earlier process of this spool left behind, read from its journal and its files."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from models.vocabulary import journal
from models.vocabulary.ticks import frame_at_or_after, frame_tick
from workers.recorder.segment.slices import PART
from workers.spool import Spool

SUFFIX = ".ts"
SUFFIXES = (SUFFIX, ".webm")
#: What waits for its upload.
Upload = journal.Slice | journal.Snapshot
#: What `recover` writes, until it is renamed.
RECOVERED = ".recovered"
_UTC_DIGITS = 17
_TICKS_PER_MS = 90


@dataclass(slots=True)
class Aftermath:
    began: bool = False  # there was an earlier process
    t0_ms: int | None = None
    end_90k: int | None = None  # its last closed slice ends here
    held_90k: int | None = None  # on hold since this edge
    ends_90k: dict[str, int] = field(default_factory=dict)  # where each track's last slice ends
    opened: dict[str, journal.Opened] = field(default_factory=dict)  # by name: slices of single streams
    unsent: dict[str, tuple[int, Upload]] = field(default_factory=dict)  # key → (entry's number, slice)
    backed: set[str] = field(default_factory=set)  # of the unsent: the backup store has them
    stored: dict[str, Upload] = field(default_factory=dict)  # proven, the file still here


def aftermath(spool: Spool) -> Aftermath:
    """Reads the journal to its end, and leaves in the folder nothing but what it names and `.part` files."""
    found = Aftermath()
    files: set[str] = set()
    for n, entry in spool.read():
        found.began = True
        match entry:
            case journal.Zero():
                found.t0_ms = entry.t0_ms
            case journal.Slice():
                files.add(entry.file)
                found.end_90k = max(found.end_90k or 0, entry.end_90k)
                found.ends_90k[entry.track] = entry.end_90k
                found.unsent[entry.key] = (n, entry)
            case journal.Snapshot():
                found.unsent[entry.key] = (n, entry)
            case journal.Opened():
                found.opened[entry.file] = entry
            case journal.Stored(store="backup"):
                found.backed.add(entry.key)
            case journal.Stored():
                _, slice_ = found.unsent.pop(entry.key, (0, None))
                if slice_ is not None and (spool.folder / slice_.file).exists():
                    found.stored[entry.key] = slice_
            case journal.Held():
                found.held_90k = entry.at_90k
            case journal.Paused():
                found.held_90k = None
            case journal.Lost():
                found.unsent.pop(entry.key, None)
            case _:
                pass
    _tidy(spool, files)
    return found


def _tidy(spool: Spool, journalled: set[str]) -> None:
    """The process may have died between two steps: a slice that no entry names is treated as one not closed yet, a
    `.part` whose slice has its entry is done with.
    """
    for half in spool.folder.glob(f"*{RECOVERED}*"):
        half.unlink()
    for whole in spool.folder.iterdir():
        if whole.suffix in SUFFIXES and whole.name not in journalled:
            whole.rename(whole.with_name(whole.name + PART))
    for part in spool.partials():
        if part.name.removesuffix(PART) in journalled:
            part.unlink()


def start_of(name: str, *, t0_ms: int, epoch: int, fps: int) -> int | None:
    """The tick at which a slice of that name begins: the inverse of `keys.segment_key`, since slices begin on the grid of
    frames, and two frames lie more than a millisecond apart. None: no name of ours.
    """
    digits = name.removesuffix(PART).removesuffix(SUFFIX)[-_UTC_DIGITS:]
    if len(digits) != _UTC_DIGITS or not digits.isdecimal():
        return None
    try:
        at = datetime.strptime(digits[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    ms = round(at.timestamp()) * 1000 + int(digits[14:]) - t0_ms - epoch % 1000
    tick = frame_tick(frame_at_or_after(max(0, ms) * _TICKS_PER_MS, fps), fps)
    return tick if tick // _TICKS_PER_MS == ms else None
