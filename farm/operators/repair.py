"""What `repair` does about what `verify` found. Each mend is one that the farm's own processes could have made."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy.orm import Session

from farm.operators.audit import Finding, Mend
from farm.operators.evidence import NoWayIn, left_spools, store_of, wanted_documents
from models.database import Database, now_ms
from models.repositories import files, recordings, tenures, timeline
from models.settings import Settings
from models.tables import Recording
from models.vocabulary.errors import ReelyardError
from models.vocabulary.spec import StoreKeys
from models.vocabulary.states import TenureState, ended
from workers.assignment import Assignment
from workers.children import Nursery
from workers.spool import Spool
from workers.supervision import Supervision

#: What is done first may leave less to do.
ORDER = (Mend.REVOKE, Mend.IMPORT, Mend.ABANDON, Mend.PLACE, Mend.PUBLISH)


def mend(
    database: Database, settings: Settings, sid: str, found: Iterable[Finding], given: StoreKeys | None
) -> dict[Mend, str]:
    """What became of each mend that the findings ask for, in words."""
    asked = {finding.mend for finding in found}
    if asked & {Mend.IMPORT, Mend.ABANDON}:
        asked |= {Mend.PUBLISH}  # the last documents tell of segments and holes as they then are
    done: dict[Mend, str] = {}
    for kind in ORDER:
        if kind in asked:
            try:
                done[kind] = _mend(database, settings, sid, kind, given)
            except ReelyardError as error:
                done[kind] = f"not mended: {error.reason}: {error.text}"
            except NoWayIn as error:
                done[kind] = f"not mended: {error}"
    return done


def _mend(database: Database, settings: Settings, sid: str, kind: Mend, given: StoreKeys | None) -> str:
    match kind:
        case Mend.IMPORT:
            return _import(database, settings, sid)
        case Mend.REVOKE:
            with database.unit() as session:
                return _revoke(session, sid)
        case Mend.ABANDON:
            with database.unit() as session:
                return _abandon(session, sid, settings.hole_grace_ms)
        case Mend.PLACE:
            with database.unit() as session:
                return _place(session, sid)
        case Mend.PUBLISH:
            with database.unit() as session:
                return _publish(session, sid, settings, given)
        case _:
            return ""


def _revoke(session: Session, sid: str) -> str:
    recordings.lock(session, sid)
    open_ = [t.epoch for t in tenures.of(session, sid) if t.state is not TenureState.ENDED]
    for epoch in open_:
        tenures.revoke(session, sid, epoch, "the recording has ended")
    return f"ended {len(open_)}"


def _abandon(session: Session, sid: str, grace_ms: int) -> str:
    recordings.lock(session, sid)
    given_up = timeline.give_up(session, grace_ms=grace_ms, sid=sid)
    for track in timeline.tracks(session, sid):
        given_up += timeline.abandon_forsaken(session, sid, track, grace_ms=grace_ms)
    return f"given up: {given_up}" if given_up else f"not yet: the grace of {grace_ms // 1000} s is not over"


def _place(session: Session, sid: str) -> str:
    """The scheduler decides what it needs: a recorder, a finaliser that ends it, or nothing more."""
    row = recordings.lock(session, sid)
    if row is None or ended(row.status):
        return "it has ended"
    row.next_dispatch_ms, row.deaths = now_ms(session), 0
    return "the scheduler gives it to a node with room now"


def _import(database: Database, settings: Settings, sid: str) -> str:
    """Bring in spools whose node is not up: as its worker would, when it starts."""
    with database.unit() as session:
        left = [
            (spool, Assignment.left_behind(session, sid, found.epoch, _owner(session, sid, found.epoch)))
            for found, spool in left_spools(session, sid, settings.spool)
            if found.unsent and not found.node_is_up
        ]
    nursery = Nursery()
    try:
        for spool, assignment in left:
            if assignment is not None:
                Supervision(database, nursery, _root(spool), assignment).run()
    finally:
        nursery.close()
    return f"brought in {len(left)}"


def _owner(session: Session, sid: str, epoch: int) -> str:
    return next((t.owner or "" for t in tenures.of(session, sid) if t.epoch == epoch), "")


def _root(spool: Spool) -> Path:
    """`<root>/<sid>/<owner>`."""
    return spool.folder.parent.parent


def _publish(session: Session, sid: str, settings: Settings, given: StoreKeys | None) -> str:
    """Playlist and index anew from the rows. Only when it has ended: a recording that runs has a writer for them."""
    row = recordings.lock(session, sid)
    if row is None or not ended(row.status):
        return "its writer writes them"
    with store_of(session, row, settings, given) as store:
        store.probe()
        written = [d.key for d in wanted_documents(session, row) if d.text is not None]
        for document in wanted_documents(session, row):
            if document.text is not None:
                body = document.text.encode()
                md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
                store.put(document.key, body, md5_hex=md5, content_type=document.content_type)
                rev = _newest_rev(session, row, document.key) + 1
                files.wrote(session, sid, document.key, document.kind, rev=rev, bytes_=len(body), md5=md5, final=True)
    return f"written: {', '.join(written)}" if written else "there is nothing to write"


def _newest_rev(session: Session, row: Recording, key: str) -> int:
    return max((file.rev for file in files.of(session, row.sid) if file.key == key), default=0)
