"""What disagrees between a recording's rows, its store, its tenures and the spools on this host. Pure: evidence in, findings out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from models.tables import File, Hole, Segment, Tenure
from models.vocabulary.states import HoleState, SegmentState, TenureState
from models.vocabulary.ticks import seconds

#: `store` of a file or segment that lies in the customer's store; anything else lies elsewhere, or is deleted.
PRIMARY: Final = "primary"


class Mend(StrEnum):
    """What `repair` does about a finding."""

    NOTHING = ""  # nobody can, or it needs none
    ABANDON = "abandon"  # give up what the dead owe or had a place for
    REVOKE = "revoke"  # end a tenure of a recording that has ended
    PLACE = "place"  # let the scheduler give the recording a worker now
    IMPORT = "import"  # bring in a spool
    PUBLISH = "publish"  # write playlist and index anew from the rows


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    key: str  # of the object, the range, the node …
    text: str
    mend: Mend = Mend.NOTHING
    wrong: bool = True  # False: worth knowing, and as it may be


@dataclass(frozen=True, slots=True)
class Seen:
    """An object as the store has it."""

    bytes: int
    md5: str


@dataclass(frozen=True, slots=True)
class Document:
    """Playlist or index: what the rows say it must be (None: there need be none), and what the store has."""

    kind: str
    key: str
    expected: str | None
    found: str | None


@dataclass(frozen=True, slots=True)
class Track:
    name: str
    head_90k: int
    segments: Sequence[Segment]
    holes: Sequence[Hole]


@dataclass(frozen=True, slots=True)
class LeftSpool:
    """A spool on this host: of which tenure, and how many of its slices no store has."""

    epoch: int
    node: str
    node_is_up: bool
    unsent: int
    folder: str


@dataclass(frozen=True, slots=True)
class Evidence:
    ended: bool
    tracks: Sequence[Track]
    tenures: Sequence[Tenure]
    files: Sequence[File] = ()
    backed_up: Collection[str] = ()  # keys that are on their way from the backup store
    spools: Sequence[LeftSpool] = ()
    #: objects that the rows name; None: the store was not looked at, and `why_not` says why
    objects: Mapping[str, Seen | None] | None = None
    why_not: str = ""
    listed: Collection[str] = ()  # every key of this sid in the store
    documents: Sequence[Document] = field(default=())


def findings(evidence: Evidence) -> list[Finding]:
    return [
        *(f for track in evidence.tracks for f in _timeline(track, evidence)),
        *_tenures(evidence),
        *_spools(evidence),
        *_store(evidence),
    ]


def _timeline(track: Track, evidence: Evidence) -> Iterator[Finding]:
    ranges = sorted(
        [(s.start_90k, s.end_90k) for s in track.segments] + [(h.start_90k, h.end_90k) for h in track.holes]
    )
    at = 0
    for start_90k, end_90k in ranges:
        if start_90k != at:
            yield Finding("broken timeline", _span(track, at, start_90k), "segments and holes do not meet here")
        at = end_90k
    if at != track.head_90k:
        yield Finding("broken timeline", _span(track, at, track.head_90k), "the rows do not reach the timeline's head")
    for hole in track.holes:
        if hole.state is HoleState.OWED and evidence.ended:
            text = "the recording has ended and somebody still owes this"
            yield Finding("owed hole", _span(track, hole.start_90k, hole.end_90k), text, Mend.ABANDON)
        elif hole.state is HoleState.LOST:
            text = f"missing: {hole.cause or 'cause unknown'}"
            yield Finding("hole", _span(track, hole.start_90k, hole.end_90k), text, wrong=False)
    dead = {t.epoch for t in evidence.tenures if t.state is TenureState.ENDED}
    for segment in track.segments:
        if segment.state is SegmentState.RESERVED and segment.epoch in dead:
            text = f"epoch {segment.epoch} has ended and never said that a store has it"
            yield Finding("unsent segment", segment.key, text, Mend.ABANDON)


def _span(track: Track, start_90k: int, end_90k: int) -> str:
    return f"{track.name} {seconds(start_90k):.1f}–{seconds(end_90k):.1f} s"


def _tenures(evidence: Evidence) -> Iterator[Finding]:
    open_ = [t for t in evidence.tenures if t.state is not TenureState.ENDED]
    if evidence.ended:
        for tenure in open_:
            text = f"{tenure.role.value} on {tenure.node} is {tenure.state.value}, and the recording has ended"
            yield Finding("tenure left over", f"epoch {tenure.epoch}", text, Mend.REVOKE)
    elif not open_:
        yield Finding("nobody works on it", "", "it has not ended, and no worker has it", Mend.PLACE)


def _spools(evidence: Evidence) -> Iterator[Finding]:
    for spool in evidence.spools:
        where = f"epoch {spool.epoch}"
        text = f"{spool.folder} has {spool.unsent} slices that no store has"
        if spool.node_is_up:
            yield Finding("spool", where, f"{text}; its node {spool.node} is up and sees to it", wrong=False)
        else:
            mend = Mend.IMPORT if spool.unsent else Mend.NOTHING
            text = f"{text}; its node {spool.node} is not up"
            yield Finding("spool left behind", where, text, mend, wrong=spool.unsent > 0)


def _store(evidence: Evidence) -> Iterator[Finding]:
    if evidence.objects is None:
        yield Finding("store not compared", "", evidence.why_not, wrong=False)
        return
    known: set[str] = set()
    for row in _rows_in_store(evidence):
        known.add(row.key)
        yield from _object(row, evidence.objects.get(row.key))
    for document in evidence.documents:
        known.add(document.key)
        yield from _document(document, ended=evidence.ended)
    reserved = {s.key for t in evidence.tracks for s in t.segments if s.state is SegmentState.RESERVED}
    named = known | reserved | {f.key for f in evidence.files} | set(evidence.backed_up)
    for key in sorted(set(evidence.listed) - named):
        text = "no row names it: a copy that came too late, or what a lost database knew"
        yield Finding("unknown object", key, text, wrong=evidence.ended)


def _rows_in_store(evidence: Evidence) -> Iterator[Segment | File]:
    for track in evidence.tracks:
        yield from (s for s in track.segments if s.state is SegmentState.STORED and s.store == PRIMARY)
    # Playlist and index are compared as documents, word by word.
    documents = {d.key for d in evidence.documents}
    yield from (f for f in evidence.files if f.final and f.bytes and f.store == PRIMARY and f.key not in documents)


def _object(row: Segment | File, seen: Seen | None) -> Iterator[Finding]:
    if seen is None:
        yield Finding("missing object", row.key, "the rows say that the store has it; it has not")
    elif seen.bytes != row.bytes:
        yield Finding("wrong object", row.key, f"{seen.bytes} bytes in the store, {row.bytes} in the rows")
    elif row.md5 and seen.md5 != row.md5:
        yield Finding("wrong object", row.key, f"md5 {seen.md5} in the store, {row.md5} in the rows")


def _document(document: Document, *, ended: bool) -> Iterator[Finding]:
    if document.expected is None or document.expected == document.found:
        return
    if not ended:
        yield from _live_document(document)
    elif document.found is None:
        yield Finding(f"missing {document.kind}", document.key, "the store has none", Mend.PUBLISH)
    else:
        text = "the store's is not what the rows say"
        yield Finding(f"wrong {document.kind}", document.key, text, Mend.PUBLISH)


def _live_document(document: Document) -> Iterator[Finding]:
    """A running recording's is at most some segments behind; what it names is a part of what the rows say."""
    if document.kind != "playlist" or document.found is None:
        return
    there = [line for line in document.found.splitlines() if line and not line.startswith("#")]
    expected = [line for line in (document.expected or "").splitlines() if line and not line.startswith("#")]
    if there != expected[: len(there)]:
        yield Finding("wrong playlist", document.key, "it names what the rows do not; its writer writes it again")


def as_row(finding: Finding, mended: str = "") -> dict[str, Any]:
    return {
        "what": finding.what,
        "key": finding.key,
        "text": finding.text,
        "wrong": finding.wrong,
        "mend": finding.mend.value,
        "mended": mended,
    }
