"""Where the files of an individual recording are read from: its store as the rows know it, or a folder that has them all."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from posixpath import basename, dirname, join
from typing import Final

from pydantic import ValidationError
from sqlalchemy.orm import Session

from farm.operators import doors
from farm.operators.evidence import MAX_DOCUMENT_BYTES, NoWayIn, store_of
from models.database import Database
from models.repositories import timeline
from models.settings import Settings
from models.tables import Recording
from models.vocabulary import keys
from models.vocabulary.errors import ReelyardError, StorageError, StoreUnavailable
from models.vocabulary.spec import Mode, StoreKeys
from models.vocabulary.states import SegmentState, ended
from stores.base import Store
from stores.folder import Folder
from workers import index
from workers.recorder.merging.recorded import Recorded, Segment

BACKUP: Final = "backup"
#: Waits between the tries of a store that does not answer.
_RETRIES_S: Final = (1.0, 3.0, 10.0, 30.0)
_COPY: Final = "; or copy all its files into a folder and give that with --from"


class NotMergeable(ReelyardError):
    """There is nothing here that could be merged."""

    code, reason = 9532, "merge"


@dataclass(frozen=True, slots=True)
class Source:
    """`names`: what each key that is there is called in `store`."""

    recorded: Recorded
    store: Store
    names: Mapping[str, str]

    @property
    def missing(self) -> frozenset[str]:
        return frozenset(segment.key for segment in self.recorded.segments() if segment.key not in self.names)

    @contextmanager
    def opened(self, segment: Segment, folder: Path, sleep: Callable[[float], None] = time.sleep) -> Iterator[Path]:
        """A segment's file, below `folder` while it is read."""
        body = self._read(self.names[segment.key], segment.bytes + 1, sleep)
        if hashlib.md5(body, usedforsecurity=False).hexdigest() != segment.md5:
            raise NotMergeable(f"{segment.key} is not what was uploaded; `reelyard verify` tells more")
        path = folder / basename(segment.key)
        path.write_bytes(body)
        try:
            yield path
        finally:
            path.unlink()

    def _read(self, name: str, most_bytes: int, sleep: Callable[[float], None]) -> bytes:
        for wait_s in _RETRIES_S:
            try:
                return self.store.get_range(name, 0, most_bytes)
            except StoreUnavailable:
                sleep(wait_s)
        return self.store.get_range(name, 0, most_bytes)


# -- a folder ---------------------------------------------------------------------------------------------------


def in_folder(folder: Path, sid: str) -> Source:
    """Of what somebody has copied there, by the index among it. Raises `NotMergeable`."""
    store = Folder(folder)
    listed = store.list()
    found = [key for key in listed if basename(key).startswith(sid) and key.endswith(".json")]
    if len(found) != 1:
        said = "more than one index" if found else f"no index {sid}….json"
        raise NotMergeable(f"there is {said} in {folder}; all files of one recording are needed, the index among them")
    recorded = _parsed(store.get_range(found[0], 0, MAX_DOCUMENT_BYTES), found[0])
    if not recorded.final:
        raise NotMergeable(
            f"{found[0]} is not the recording's last one: it still ran when that was copied; stop it, then copy it again"
        )
    there, beside = frozenset(listed), dirname(found[0])
    names: dict[str, str] = {}
    for segment in recorded.segments():
        for name in (segment.key, join(beside, basename(segment.key))):
            if name in there:
                names.setdefault(segment.key, name)
    return Source(recorded, store, names)


def _parsed(body: bytes, name: str) -> Recorded:
    try:
        recorded = Recorded.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise NotMergeable(f"{name} is not the index of a recording: {where}: {first['msg']}") from error
    if recorded.final and recorded.streams is None:
        raise NotMergeable(_MIXED)
    return recorded


# -- the store that the state knows -----------------------------------------------------------------------------

_MIXED: Final = "it was recorded as a mix, so its users are in one picture already; avFileType mp4 makes one file of it"


@contextmanager
def in_store(database: Database, settings: Settings, sid: str, given: StoreKeys | None) -> Iterator[Source]:
    """Raises `NotMergeable`, `NoSuchRecording`, or the store's own errors."""
    with ExitStack() as stack:
        with database.unit() as session:  # not for as long as merging takes
            row = doors.one(session, sid)
            recorded = _on_record(session, row)
            prefix = keys.prefix_path(tuple(row.spec["file_prefix"])) + row.sid
            try:
                store = stack.enter_context(store_of(session, row, settings, given))
            except NoWayIn as error:
                raise NotMergeable(f"{error}{_COPY}") from error
        if not store.caps.reads:
            raise NotMergeable(
                "the store's keys may put and nothing else; give some that may read as AWS_ACCESS_KEY_ID and"
                f" AWS_SECRET_ACCESS_KEY{_COPY}"
            )
        try:
            listed = store.list(prefix)
        except StorageError as error:
            raise NotMergeable(f"the store cannot be read: {error.reason}: {error.text}{_COPY}") from error
        yield Source(recorded, store, {key: key for key in listed})


def _on_record(session: Session, row: Recording) -> Recorded:
    if row.mode != Mode.INDIVIDUAL:
        raise NotMergeable(_MIXED)
    if not ended(row.status):
        raise NotMergeable(
            f"{row.sid} is still recording or uploading; stop it, and try again when `reelyard ps` has it no more"
        )
    rows = [
        segment for track in timeline.tracks(session, row.sid) for segment in timeline.rows(session, row.sid, track)[0]
    ]
    waiting = sum(segment.state is SegmentState.STORED and segment.store == BACKUP for segment in rows)
    if waiting:
        raise NotMergeable(
            f"{waiting} of its files wait in the backup store until the customer's takes them; try again when it has"
        )
    return _parsed(index.render(session, row, final=True).encode(), "the record")
