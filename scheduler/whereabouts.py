"""Whereabouts: which object of a recording a name means, and which store has it: the customer's, or the operator's backup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from posixpath import basename
from typing import Final

from sqlalchemy.orm import Session

from models.database import Database
from models.repositories import apps, backups, files
from models.repositories.backups import BACKUP, PRIMARY
from models.repositories.files import Length
from models.settings import Settings
from models.tables import File, Recording
from models.vocabulary import keys
from models.vocabulary.errors import FileInBackup, FileNotFound, StorageError, StoreSealed, StoreUnavailable
from models.vocabulary.spec import Mode, RecordingSpec, Secrets, StoreKeys
from models.vocabulary.states import SegmentState
from models.vocabulary.streams import JOINED, Stream
from net.connections import within
from stores.base import Store
from stores.opening import open_backup, open_store

#: Kinds whose size is known; documents are as long as they are by now.
SIZED: Final = frozenset({"mp4", "snapshot"})
PLAYLIST: Final = ".m3u8"
#: Somebody waits for the answer; what a store has not given by then it gives to nobody.
WITHIN_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Found:
    """`key`: in the store of that name, PRIMARY or BACKUP. `bytes`: if they are known."""

    key: str
    store: str
    bytes: int | None = None


def find(session: Session, row: Recording, name: str) -> Found:
    """Raises `FileNotFound`; a name never leads to another recording's."""
    key = keys.prefix_path(tuple(row.spec["file_prefix"])) + name
    if (file := files.get(session, row.sid, key)) is not None:
        if not is_there(file):
            raise FileNotFound("the file is not there yet, or has been deleted")
        return _placed(row, key, file.store, file.bytes if file.kind in SIZED else None)
    if (segment := files.segment(session, row.sid, key)) is not None:
        if segment.state is not SegmentState.STORED or segment.store == files.DELETED:
            raise FileNotFound("the segment is not there yet, or has been deleted")
        return _placed(row, key, segment.store, segment.bytes)
    if any(name == named for named, _ in playlists(row, files.lengths(session, row.sid))):
        return Found(key, PRIMARY)
    raise FileNotFound


def _placed(row: Recording, key: str, store: str, size_bytes: int | None) -> Found:
    if store != BACKUP:
        return Found(key, PRIMARY, size_bytes)
    there = key if size_bytes is not None else keys.held_back_key(key)
    return Found(keys.backup_key(row.appid, there), BACKUP, size_bytes)


def is_there(file: File) -> bool:
    if file.store in (files.DOOMED, files.DELETED):
        return False
    return file.kind not in SIZED or (file.final and file.bytes > 0 and not (file.kind == "snapshot" and file.error))


def playlists(row: Recording, lengths: Sequence[Length]) -> list[tuple[str, Length]]:
    """(name, what it lists) of every playlist that there is, or is about to be: of a mix one; of an individual recording one
    for each stream, and where a user has sent both, one that joins his pictures with his sound.
    """
    if row.mode != Mode.INDIVIDUAL:
        name = basename(keys.playlist_key((), row.sid, row.cname))
        return [(name, lengths[0] if lengths else Length())] if row.sliced else []
    found: list[tuple[str, Length]] = []
    users: dict[str, dict[str, Length]] = {}
    for length in lengths:
        if length.stored_90k:
            stream = Stream.of(length.track)
            found.append((_stream_playlist(row, stream), length))
            if length.playable:
                users.setdefault(stream.uid, {})[stream.medium] = length
    if row.spec["stream_mode"] == "standard":
        for uid, media in users.items():
            if len(media) == 2:
                found.append((_stream_playlist(row, Stream(uid, JOINED)), media["video"]))
    return found


def _stream_playlist(row: Recording, stream: Stream) -> str:
    return basename(keys.stream_playlist_key((), row.sid, row.cname, stream))


def owns(session: Session, row: Recording) -> bool:
    """Whether the files lie in the operator's own store, whose keys the app still has."""
    own = apps.store_of(apps.get(session, row.appid))
    return own is not None and own == RecordingSpec.model_validate(row.spec).store


class Reach:
    """The stores of one recording, each opened when it is first asked for."""

    def __init__(self, settings: Settings, row: Recording, known: StoreKeys | None, backed: frozenset[str]) -> None:
        self.row = row
        self.spec = RecordingSpec.model_validate(row.spec)
        self._settings = settings
        self._known = known
        self._backed = backed
        self._open: dict[str, Store] = {}

    def store(self, name: str) -> Store:
        """Raises `StoreSealed` where nobody has keys that may read, `FileInBackup` where the backup store is not ours."""
        if name not in self._open:
            self._open[name] = self._backup() if name == BACKUP else self._customers()
        return self._open[name]

    def presigned(self, key: str, for_s: int) -> str | None:
        """Of a file of the recording, wherever it lies. None: that store signs no addresses."""
        if key in self._backed:
            return self.store(BACKUP).presign(keys.backup_key(self.row.appid, key), for_s)
        return self.store(PRIMARY).presign(key, for_s)

    def read(self, found: Found, start: int, end: int) -> bytes:
        """Raises `FileNotFound` where its store has no such object, `FileInBackup` where the backup store does not answer."""
        store = self.store(found.store)
        try:
            return store.get_range(found.key, start, end)
        except StorageError as error:
            if type(error) is StorageError:
                raise FileNotFound("its store has no such object") from error
            if found.store == BACKUP and isinstance(error, StoreUnavailable):
                raise FileInBackup from error
            raise

    def _customers(self) -> Store:
        if self._known is None:
            raise StoreSealed
        config = self._settings
        return open_store(
            self.spec.store, self._known, stores_root=config.stores_root, allow_networks=config.allow_networks
        )

    def _backup(self) -> Store:
        backup = self._settings.backup
        if backup is None:
            raise FileInBackup("the file still lies in the backup store, which this gateway does not know")
        return open_backup(backup)

    def close(self) -> None:
        for store in self._open.values():
            store.close()


@contextmanager
def reach(database: Database, settings: Settings, row: Recording, given: StoreKeys | None) -> Iterator[Reach]:
    """`given`: keys of the customer's own store that may read."""
    with database.unit() as session:
        known = given or _known_keys(session, row)
        backed = frozenset(backups.only_there(session, row.sid))
    made = Reach(settings, row, known, backed)
    try:
        with within(WITHIN_S):
            yield made
    finally:
        made.close()


def _known_keys(session: Session, row: Recording) -> StoreKeys | None:
    if owns(session, row):
        return apps.store_keys_of(apps.get(session, row.appid))
    return None if row.secrets is None else Secrets.model_validate(row.secrets).store
