"""From the journal into the state: what a recorder's facts mean for the timeline and the record. One unit of work a batch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy.orm import Session

from models.repositories import backups, films, notices, recordings, snapshots, tenures, timeline, zeros
from models.vocabulary import events, journal, pipe
from models.vocabulary.events import Event
from models.vocabulary.spec import Mode
from models.vocabulary.states import HoleState, Status
from models.vocabulary.streams import MIX
from models.vocabulary.ticks import TICKS_PER_S
from workers import individual

#: Why there is a hole where nothing was to be recorded.
PAUSED: Final = "paused"


@dataclass(frozen=True, slots=True)
class Grantee:
    """Who commits: a tenure's identity, dead or alive."""

    sid: str
    epoch: int
    owner: str


def milliseconds(tick_90k: int) -> int:
    return tick_90k * 1000 // TICKS_PER_S


@dataclass(slots=True)
class Outcome:
    """What a batch did."""

    n: int = 0
    refused: list[str] = field(default_factory=list)
    covered: list[str] = field(default_factory=list)  # of the refused: another's copy is in a store
    later: dict[str, journal.Slice] = field(default_factory=dict)  # to be asked for again
    granted: list[str] = field(default_factory=list)
    sliced: int = 0
    stored: int = 0


def commit(
    session: Session, who: Grantee, entries: Iterable[tuple[int, journal.AnyEntry]], *, slot_90k: int, ending: bool
) -> Outcome:
    """Commit journal entries in order. Again the same entries: nothing changes (the timeline's door is idempotent).

    `ending`: the recording is being stopped, so nobody waits for anybody's whole slots.
    """
    outcome = Outcome()
    for n, entry in entries:
        outcome.n = n
        match entry:
            case journal.Zero():
                anchor = {"clock_id": entry.clock_id, "zero_s": entry.zero_s}
                if zeros.found(session, who.sid, who.epoch, who.owner, t0_ms=entry.t0_ms, anchor=anchor):
                    slices_begin(session, who, 0, 0)
            case journal.Gap():
                where = (entry.track, who.epoch, who.owner, entry.start_90k, entry.end_90k)
                told = timeline.gap(session, who.sid, *where, entry.cause, entry.state)
                if told and entry.state is HoleState.LOST and entry.track == MIX:
                    slices_begin(session, who, entry.end_90k, entry.start_90k)
                elif told and entry.state is HoleState.LOST:
                    individual.begins(session, who.sid, entry.track, entry.end_90k, entry.start_90k)
            case journal.First():
                head = timeline.head(session, who.sid, entry.track)
                if 0 < head < entry.at_90k:
                    slices_begin(session, who, entry.at_90k, head)
                _no_hold(session, who, entry.at_90k)
                timeline.begins(session, who.sid, entry.track, who.epoch, who.owner, entry.at_90k)
            case journal.Held():
                _hold_begins(session, who, entry)
            case journal.Paused():
                _hold_ends(session, who, entry)
            case journal.Slice():
                is_new = entry.track != MIX and not timeline.is_begun(session, who.sid, entry.track)
                reserve(session, who, entry, outcome, slot_90k=None if ending else slot_90k)
                if is_new:
                    individual.begins(session, who.sid, entry.track, entry.start_90k, entry.start_90k)
                if entry.start_90k % slot_90k == 0 and entry.end_90k - entry.start_90k == slot_90k:
                    tenures.proven(session, who.sid, who.epoch, who.owner)
            case journal.Stored():
                _proven(session, who, entry, outcome)
                if individual.snapped(session, who.sid, entry.key, entry.store):
                    continue  # no slice: neither a first file nor news for a playlist
                if timeline.stored(session, who.sid, entry.track, entry.key, store=entry.store):
                    outcome.stored += 1
                else:
                    films.stored(session, who.sid, entry.key, store=entry.store)
            case journal.Snapshot():
                individual.taken(session, who.sid, entry)
            case journal.Warm():
                tenures.proven(session, who.sid, who.epoch, who.owner)
            case journal.Lost() if entry.key.endswith(individual.SNAPSHOT):
                snapshots.lost(session, who.sid, entry.key)
            case journal.Film():
                films.made(session, who.sid, entry)
            case journal.Lost():
                timeline.drop(session, who.sid, entry.track, who.epoch, entry.key, entry.cause)
            case _:
                pass
    return outcome


def _proven(session: Session, who: Grantee, entry: journal.Stored, outcome: Outcome) -> None:
    """What a proof means for the backup store's copies."""
    told = backups.told(session, who.sid, entry.key, entry.store)
    outcome.stored += told.moved
    if told.first:
        warned = {"module": int(events.Module.UPLOADER), "warnCode": events.UPLOAD_TO_BACKUP}
        notices.say(session, who.sid, Event.WARNING, **warned)


# -- hold -------------------------------------------------------------------------------------------------------
#
# Each tenure holds at the edge that is next when it hears of it, so two may differ by a slot. The recording's row says
# since when it is on hold: the first one at the edge writes it, the first one to go on takes it away. What another one
# says later about the same hold is no news; where it went on later than the first, it just has nothing there.


def _hold_begins(session: Session, who: Grantee, entry: journal.Held) -> None:
    """Of a tenure that is over, it says nothing about what comes after."""
    recorded_beyond = timeline.head(session, who.sid, entry.track) > entry.at_90k
    if not recorded_beyond and tenures.is_held(session, who.sid, who.epoch, who.owner):
        recordings.hold_begins(session, who.sid, entry.at_90k)


def _hold_ends(session: Session, who: Grantee, entry: journal.Paused) -> None:
    since_90k: int | None = entry.start_90k
    if tenures.is_held(session, who.sid, who.epoch, who.owner):
        since_90k = recordings.hold_ends(session, who.sid, entry.end_90k)
    if since_90k is None:
        return
    since_90k = max(since_90k, timeline.head(session, who.sid, entry.track))
    if since_90k >= entry.end_90k:
        return
    where = (entry.track, who.epoch, who.owner, since_90k, entry.end_90k)
    if timeline.gap(session, who.sid, *where, PAUSED, HoleState.PAUSED):
        slices_begin(session, who, entry.end_90k, since_90k, anybody=True)


def _no_hold(session: Session, who: Grantee, at_90k: int) -> None:
    """The writer captures: if there was a hold, its end was lost with the tenure before."""
    row = recordings.get(session, who.sid)
    if row is not None and row.held_90k is not None and row.writer_epoch == who.epoch:
        recordings.hold_ends(session, who.sid, at_90k)


def reserve(session: Session, who: Grantee, entry: journal.Slice, outcome: Outcome, *, slot_90k: int | None) -> None:
    """Ask the timeline for a slice's place."""
    if entry.track != MIX:
        slot_90k = None  # copied slices have no fixed length
    answer = timeline.reserve(
        session,
        who.sid,
        entry.track,
        who.epoch,
        who.owner,
        entry.start_90k,
        entry.end_90k,
        entry.key,
        entry.bytes,
        entry.md5,
        cause="the worker was lost",
        slot_90k=slot_90k,
        shape=entry.shape,
    )
    match answer:
        case timeline.Reserved():
            outcome.sliced += 1
            outcome.granted.append(entry.key)
        case timeline.Fenced(for_good=False):
            outcome.later[entry.key] = entry
        case _:
            outcome.refused.append(entry.key)
            if isinstance(answer, timeline.Covered):
                outcome.covered.append(entry.key)


def first_file(session: Session, who: Grantee) -> None:
    """The store has acknowledged a first file: status 5, and the notice that goes with it."""
    if not recordings.first_slice(session, who.sid):
        return
    before = recordings.get(session, who.sid)
    was_coming_up = before is not None and before.status < Status.READY
    coming_up = {Status.INITIALISED, Status.STARTING, Status.SOME_READY, Status.READY}
    cause = "first file stored"
    recordings.advance(session, who.sid, expect=coming_up, to=Status.IN_PROGRESS, cause=cause, epoch=who.epoch)
    row = recordings.get(session, who.sid)
    assert row is not None
    if was_coming_up:
        started(session, who)
    first = min(timeline.streams(session, who.sid), key=lambda known: known[1], default=(MIX, 0))
    playlist = individual.playlist_of(session, who.sid, first[0])
    notices.say(session, who.sid, Event.FILE_INFOS, fileList=playlist)


# -- notices ----------------------------------------------------------------------------------------------------


def started(session: Session, who: Grantee) -> None:
    """Every part is up, for the first time."""
    notices.say(session, who.sid, Event.RECORDER_STARTED, status=0)
    notices.say(session, who.sid, Event.UPLOADER_STARTED, status=0)


def slices_begin(
    session: Session, who: Grantee, start_90k: int, discontinued_90k: int, *, anybody: bool = False
) -> None:
    """At the start, and after each interruption; only what the writer says counts, where several will say it."""
    row = recordings.get(session, who.sid)
    if row is None or row.mode == Mode.INDIVIDUAL:
        return  # each stream begins by itself
    if row.t0_ms is None or (row.writer_epoch != who.epoch and not anybody):
        return
    notices.say(
        session,
        who.sid,
        Event.SLICE_START,
        startUtcMs=row.t0_ms + milliseconds(start_90k),
        discontinueUtcMs=row.t0_ms + milliseconds(discontinued_90k),
        mixedAllUser=True,
        streamUid="0",
        trackType=events.TRACK_TYPES[row.spec["stream_types"]],
    )


def stream(session: Session, who: Grantee, change: pipe.Stream) -> None:
    event = Event.AUDIO_STREAM if change.kind == "audio" else Event.VIDEO_STREAM
    state = 0 if change.receiving else 1
    recordings.heard(session, who.sid, change.uid, change.kind, change.at_ms, receiving=change.receiving)
    notices.say(session, who.sid, event, streamUid=change.uid, state=state, UtcMs=change.at_ms)


def progress(session: Session, who: Grantee) -> None:
    """How much of what is recorded is uploaded, in ten-thousandths; asked for only where somebody listens."""
    if not notices.has_receiver(session, who.sid):
        return
    recorded, uploaded = timeline.uploaded(session, who.sid)
    if recorded:
        notices.say(session, who.sid, Event.UPLOADING_PROGRESS, progress=uploaded * 10_000 // recorded)
