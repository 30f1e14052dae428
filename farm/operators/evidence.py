"""What `verify` looks at: a recording's rows, the objects in its store, the spools on this host."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy.orm import Session

from farm.operators.audit import PRIMARY, Document, Evidence, LeftSpool, Seen, Track
from models.repositories import apps, files, nodes, tenures, timeline
from models.settings import Settings
from models.tables import Recording, Segment
from models.vocabulary import journal, keys, playlist
from models.vocabulary.errors import ReelyardError
from models.vocabulary.spec import FolderStore, MemoryStore, RecordingSpec, Secrets, StoreKeys
from models.vocabulary.states import SegmentState, ended
from stores.base import Store
from stores.opening import open_store
from workers import index, playlists
from workers.spool import Spool

#: A document is read whole; a day's playlist has some 2 MB.
MAX_DOCUMENT_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """A document as the rows say it, to be compared or written."""

    kind: files.Kind
    key: str
    content_type: str
    text: str | None


class NoWayIn(Exception):
    """The store cannot be looked at; says why."""


def wanted_documents(session: Session, row: Recording) -> list[Wanted]:
    """Playlists and index. Text None where there need be none."""
    spec = RecordingSpec.model_validate(row.spec)
    over = ended(row.status)
    tracks = timeline.tracks(session, row.sid)

    def found(track: str) -> list[playlist.Entry]:
        return timeline.publishable(session, row.sid, track, final=over)

    written: list[tuple[str, str]] = []
    if row.t0_ms is not None:
        written = playlists.documents(spec, row.sid, tracks, found, t0_ms=row.t0_ms, ended=over)
    index_text = index.render(session, row, final=True, playlists=written) if over and written else None
    return [
        *(Wanted("playlist", key, playlist.CONTENT_TYPE, text) for key, text in written),
        Wanted("index", keys.index_key(spec.file_prefix, row.sid, spec.cname), index.CONTENT_TYPE, index_text),
    ]


def gather(session: Session, row: Recording, settings: Settings, given: StoreKeys | None) -> Evidence:
    """Everything about one recording. `given`: keys of its store, where the state has none any more."""
    names = timeline.tracks(session, row.sid)
    tracks = [Track(t, timeline.head(session, row.sid, t), *timeline.rows(session, row.sid, t)) for t in names]
    mine = files.of(session, row.sid)
    known: dict[str, Any] = {
        "ended": ended(row.status),
        "tracks": tracks,
        "tenures": tenures.of(session, row.sid),
        "files": mine,
        "spools": [spool for spool, _ in left_spools(session, row.sid, settings.spool)],
    }
    stored = [s for t in tracks for s in t.segments if s.state is SegmentState.STORED]
    if elsewhere := {s.store for s in stored} - {PRIMARY}:
        return Evidence(**known, why_not=f"some of its segments are not in its own store, but: {', '.join(elsewhere)}")
    try:
        with store_of(session, row, settings, given) as store:
            return _with_store(session, row, store, known, stored)
    except NoWayIn as error:
        return Evidence(**known, why_not=str(error))
    except ReelyardError as error:
        return Evidence(**known, why_not=f"{error.reason}: {error.text}")


def _with_store(
    session: Session, row: Recording, store: Store, known: dict[str, Any], stored: Iterable[Segment]
) -> Evidence:
    store.probe()
    if not store.caps.reads:
        return Evidence(**known, why_not="the store's keys may put and nothing else")
    wanted = wanted_documents(session, row)
    apart = {document.key for document in wanted}
    named = {s.key: s.md5 for s in stored}
    named |= {f.key: f.md5 for f in known["files"] if f.final and f.store == PRIMARY and f.key not in apart}
    prefix = keys.prefix_path(tuple(row.spec["file_prefix"])) + row.sid
    return Evidence(
        **known,
        objects={key: _seen(store, key, md5) for key, md5 in named.items()},
        listed=frozenset(store.list(prefix)),
        documents=[Document(d.kind, d.key, d.text, _text(store, d.key)) for d in wanted],
    )


def _seen(store: Store, key: str, md5: str) -> Seen | None:
    found = store.head(key)
    if found is None:
        return None
    if found.etag == md5:
        return Seen(found.bytes, md5)
    # Not every store's ETag is the md5 (encryption, parts): then the bytes themselves say it.
    body = store.get_range(key)
    return Seen(len(body), hashlib.md5(body, usedforsecurity=False).hexdigest())


def _text(store: Store, key: str) -> str | None:
    if store.head(key) is None:
        return None
    return store.get_range(key, 0, MAX_DOCUMENT_BYTES).decode(errors="replace")


@contextmanager
def store_of(session: Session, row: Recording, settings: Settings, given: StoreKeys | None) -> Iterator[Store]:
    """Raises `NoWayIn`, or the store's own errors."""
    spec = RecordingSpec.model_validate(row.spec)
    if isinstance(spec.store, MemoryStore):
        raise NoWayIn("the store is in the memory of one process")
    credentials = given or _credentials(session, row, spec)
    if credentials is None:
        raise NoWayIn(
            "its store's keys were wiped when it ended; give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    store = open_store(
        spec.store, credentials, stores_root=settings.stores_root, allow_networks=settings.allow_networks
    )
    try:
        yield store
    finally:
        store.close()


def _credentials(session: Session, row: Recording, spec: RecordingSpec) -> StoreKeys | None:
    if isinstance(spec.store, FolderStore):
        return StoreKeys()
    app = apps.get(session, row.appid)
    if apps.store_of(app) == spec.store:
        return apps.store_keys_of(app)
    return None if row.secrets is None else Secrets.model_validate(row.secrets).store


def left_spools(session: Session, sid: str, root: Path) -> list[tuple[LeftSpool, Spool]]:
    """Spools of this recording below a node's spool, or below the folder of several nodes' (`reelyard node`)."""
    up = {node.name for node in nodes.live(session)}
    by_owner = {t.owner: t for t in tenures.of(session, sid) if t.owner}
    stored = {s.key for t in timeline.tracks(session, sid) for s in timeline.rows(session, sid, t)[0] if s.store}
    found = []
    for path in sorted({*root.glob(f"{sid}/*/journal"), *root.glob(f"*/{sid}/*/journal")}):
        spool = Spool(path.parent)
        entries = [entry for _, entry in spool.entries()]
        begun = next((e for e in entries if isinstance(e, journal.Begun)), None)
        tenure = by_owner.get(begun.owner) if begun is not None else None
        if tenure is None:
            continue
        acknowledged = {e.key for e in entries if isinstance(e, journal.Stored)}
        slices = [e for e in entries if isinstance(e, journal.Slice)]
        unsent = sum(e.key not in acknowledged | stored for e in slices)
        left = LeftSpool(tenure.epoch, tenure.node, tenure.node in up, unsent, str(spool.folder))
        found.append((left, spool))
    return found
