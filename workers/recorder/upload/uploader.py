"""Files and documents on their way to the customer's store, and to the backup store while that one fails.

Rules U1–U14 of docs/design/uploads.md: a file's name is immutable, its put is idempotent, its local copy stays until a
store has proven it; what only the backup store has is still tried here, as long as there is time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

from models.vocabulary.errors import ReelyardError, StorageError
from models.vocabulary.timing import Clock
from stores.base import Store
from workers.recorder.chores import Chores
from workers.recorder.upload.documents import DOCUMENT_TIMEOUT_S, Documents, Text
from workers.recorder.upload.lane import Item, Lane

__all__ = ["BACKUP", "DOCUMENT_TIMEOUT_S", "PRIMARY", "Item", "StoreName", "Text", "Uploader"]

PARALLEL: Final = 3
#: What a store is called in the journal and in the timeline.
StoreName = Literal["primary", "backup"]
PRIMARY: Final = "primary"
BACKUP: Final = "backup"
#: Somebody waits for the end: so long a store may fail then before the backup store gets its chance.
HURRY_S: Final = 5.0
LOOK_S: Final = 1.0


class Uploader:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        chance: Callable[[], float],
        *,
        on_stored: Callable[[str, StoreName], None],
        on_written: Callable[[str, int, StoreName], None],
        on_trouble: Callable[[ReelyardError], None],
        on_lost: Callable[[str], None],
        on_crash: Callable[[BaseException], None],
        backup: Store | None = None,
        backup_after_s: float = 0.0,
        backup_address: Callable[[str], str] = lambda key: key,
    ) -> None:
        self._clock = clock
        self._on_stored = on_stored  # (key, which store): once for each of the two
        self._on_trouble = on_trouble
        self._on_lost = on_lost  # a file is gone from the spool: it will never be stored
        self._chores = Chores(on_crash)  # one of our tasks broke: nobody sends its file any more
        self._backup_after_s = self._patience_s = backup_after_s
        self._hurries = self._until_it_works = False
        self._writer_until = 0.0
        self._backed: set[str] = set()  # in the backup store; the customer's has not proven them
        self._primary = Lane(
            store,
            clock,
            chance,
            parallel=PARALLEL,
            spawn=self._chores.do,
            on_stored=self._in_primary,
            on_trouble=self._primary_failed,
            on_gone=self._gone,
        )
        documents: dict[str, Any] = {
            "writer_until": lambda: self._writer_until,
            "spawn": self._chores.do,
        }
        self._documents = Documents(
            store,
            clock,
            chance,
            on_written=lambda key, rev: on_written(key, rev, PRIMARY),
            on_trouble=on_trouble,
            **documents,
        )
        self._backup: Lane | None = None
        self._backup_documents: Documents | None = None
        if backup is not None:
            self._backup = Lane(
                backup,
                clock,
                chance,
                parallel=PARALLEL,
                spawn=self._chores.do,
                on_stored=self._in_backup,
                on_trouble=self._backup_failed,
                on_gone=lambda _item: None,  # the other lane will say so
                address=backup_address,
            )
            self._backup_documents = Documents(
                backup,
                clock,
                chance,
                on_written=lambda key, rev: on_written(key, rev, BACKUP),
                on_trouble=self._backup_failed,
                address=backup_address,
                **documents,
            )

    @property
    def unsent_bytes(self) -> int:
        """Of files that no store has proven."""
        return sum(w.item.bytes for w in self._primary.waiting if w.item.key not in self._backed)

    def put(self, item: Item, *, backed: bool = False) -> None:
        """`backed`: the backup store has it already."""
        if backed:
            self._backed.add(item.key)
        self._primary.add(item)
        self._look()

    def write(self, text: Text, store: str = PRIMARY) -> None:
        """Newer revisions of a key replace older ones that are not on their way yet."""
        documents = self._documents if store == PRIMARY else self._backup_documents
        if documents is not None:
            documents.write(text)

    def writer_for(self, seconds_s: float) -> None:
        """The tenure is the writer for so long from now; 0 ends it."""
        self._writer_until = self._clock.now() + seconds_s

    def replace(self, store: Store) -> None:
        """New keys (a refreshed token): every next attempt uses them."""
        self._primary.replace(store)
        self._documents.replace(store)

    def hurry(self, *, until_it_works: bool = False) -> None:
        """Somebody waits: what the store does not take soon goes to the backup store. At the end of capture for good; or
        `until_it_works`, for one that has failed from our beginning on.
        """
        self._patience_s = min(self._patience_s, HURRY_S)
        self._until_it_works = until_it_works
        self._look()
        if self._backup is not None and not self._hurries:
            self._hurries = True
            self._chores.do(self._keep_looking())

    async def _keep_looking(self) -> None:
        """A storm's next try may be half a minute away, and one that hangs takes as long to fail."""
        while self._hurries:
            await self._clock.sleep_until(self._clock.now() + LOOK_S)
            self._look()

    def drop(self, *, flying: bool) -> list[str]:
        """Send no more of what waits, nor (`flying`) wait for what is on its way. The keys that no store has."""
        dropped = []
        for lane in (self._primary, self._backup):
            for waiting in [] if lane is None else lane.waiting:
                if flying or not waiting.flying:
                    assert lane is not None
                    lane.drop(waiting.item.key)
                    dropped.append(waiting.item.key)
        left = {w.item.key for lane in (self._primary, self._backup) if lane is not None for w in lane.waiting}
        return [key for key in dict.fromkeys(dropped) if key not in left and key not in self._backed]

    async def close(self) -> None:
        await self._chores.close()

    # -- the two stores -----------------------------------------------------------------------------------------

    def _in_primary(self, item: Item) -> None:
        if self._until_it_works:
            self._patience_s, self._hurries, self._until_it_works = self._backup_after_s, False, False
        self._backed.discard(item.key)
        if self._backup is not None:
            self._backup.drop(item.key)
        self._on_stored(item.key, PRIMARY)

    def _in_backup(self, item: Item) -> None:
        self._backed.add(item.key)
        self._on_stored(item.key, BACKUP)

    def _primary_failed(self, error: StorageError) -> None:
        self._on_trouble(error)
        self._look()

    def _backup_failed(self, error: StorageError) -> None:
        """That is nobody's fault but the operator's."""
        self._on_trouble(StorageError(f"the backup store: {error.text}"))

    def _look(self) -> None:
        """To the backup store, if the customer's has failed for long enough: all that waits, or single files."""
        if self._backup is None:
            return
        now_s = self._clock.now()
        bad_s = self._primary.bad_for_s(now_s)
        for waiting in self._primary.waiting:
            if waiting.item.key in self._backed or waiting.item.key in self._backup:
                continue
            own_s = 0.0 if waiting.failing_since_s is None else now_s - waiting.failing_since_s
            if max(bad_s, own_s) > 0 and max(bad_s, own_s) >= self._patience_s:
                self._backup.add(waiting.item)

    def _gone(self, item: Item) -> None:
        if item.key in self._backed:
            self._backed.discard(item.key)  # the backup store's copy will be moved by others
        else:
            self._on_lost(item.key)
