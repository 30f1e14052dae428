"""Delivery: the uploader, opened beside the capture. What is said to it before its store is open waits here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from models.vocabulary import keys, pipe
from models.vocabulary.errors import ReelyardError, StorageError
from models.vocabulary.spec import Secrets
from models.vocabulary.states import Role
from models.vocabulary.timing import Clock
from stores.base import Store
from stores.opening import open_backup
from workers.recorder.upload.uploader import StoreName, Text, Uploader

#: A store that has not answered by then has failed, as far as others wait for it.
PROBE_S: Final = 5.0


class Delivery:
    """`on_open` is told of each store and of the uploader that uses it: of the first one, and of one with newer keys.
    `on_proven`: the first one can be used, as far as one can see without a put; or else the backup store.
    """

    def __init__(
        self,
        begin: pipe.Begin,
        clock: Clock,
        chance: Callable[[], float],
        open_store: Callable[[Secrets], Store],
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        on_open: Callable[[Store, Uploader], None],
        on_proven: Callable[[], None],
        on_stored: Callable[[str, StoreName], None],
        on_written: Callable[[str, int, StoreName], None],
        on_trouble: Callable[[ReelyardError], None],
        on_lost: Callable[[str], None],
        on_crash: Callable[[BaseException], None],
    ) -> None:
        self._begin = begin
        self._clock = clock
        self._chance = chance
        self._open_store = open_store
        self._spawn = spawn
        self._on_open = on_open
        self._on_proven = on_proven
        self._on_stored = on_stored
        self._on_written = on_written
        self._on_trouble = on_trouble
        self._on_lost = on_lost
        self._on_crash = on_crash
        self._secrets = begin.secrets  # the newest
        self._uploader: Uploader | None = None
        self._texts: list[tuple[Text, str]] = []
        self._writer_until_s = 0.0
        self._hurries = False
        self.store_reads = True
        self.backup: Store | None = None  # the operator's, once it is open

    @property
    def unsent_bytes(self) -> int:
        return 0 if self._uploader is None else self._uploader.unsent_bytes

    def write(self, text: Text, store: str) -> None:
        if self._uploader is None:
            self._texts.append((text, store))
        else:
            self._uploader.write(text, store)

    def writer_for(self, seconds_s: float) -> None:
        """The tenure is the writer for so long from now."""
        self._writer_until_s = self._clock.now() + seconds_s
        if self._uploader is not None:
            self._uploader.writer_for(seconds_s)

    def hurry(self) -> None:
        """Capture is over."""
        self._hurries = True
        if self._uploader is not None:
            self._uploader.hurry()

    def renew(self, secrets: Secrets) -> None:
        """Other keys from now on, if they are others."""
        if secrets.store != self._secrets.store:
            self._secrets = secrets
            if self._uploader is not None:
                self._spawn(self._reopen())

    def drop(self, *, flying: bool) -> list[str]:
        """As the uploader's: the keys that no store has."""
        return [] if self._uploader is None else self._uploader.drop(flying=flying)

    async def close(self) -> None:
        if self._uploader is not None:
            await self._uploader.close()

    async def open(self) -> None:
        """Capture does not wait for it. Raises what opening a store raises."""
        secrets = self._secrets
        store = await self._clock.in_thread(lambda: self._open_store(secrets))
        self._uploader = uploader = await self._begun(store)
        if self._hurries:
            uploader.hurry()
        uploader.writer_for(self._writer_until_s - self._clock.now())
        for text, where in self._texts:
            uploader.write(text, where)
        self._texts.clear()
        self._on_open(store, uploader)
        if self._secrets.store != secrets.store:  # they changed while the store was being opened
            await self._reopen()
        await self._prove(store)

    async def _prove(self, store: Store) -> None:
        """Whoever is to take a recording over can, while the customer's store fails: the other one takes the files."""
        probe = asyncio.ensure_future(self._clock.in_thread(store.probe))
        try:
            await asyncio.wait({probe}, timeout=PROBE_S)
            if not probe.done():
                await self._prove_by_backup()
            await probe
        except StorageError as error:
            self._on_trouble(error)  # its puts are tried all the same
            await self._prove_by_backup()
        else:
            self.store_reads = store.caps.reads
            self._on_proven()
        finally:
            probe.cancel()

    async def _prove_by_backup(self) -> None:
        """Whoever is to take a recording over can while the customer's store fails: the other one takes the files, and at
        once. Who hands it over waits until a store has them.
        """
        if self.backup is None or self._uploader is None:
            return
        try:
            await self._clock.in_thread(self.backup.probe)
        except StorageError as error:
            self._on_trouble(StorageError(f"the backup store: {error.text}"))
            return
        if not self._hurries and self._begin.role in (Role.SUCCESSOR, Role.STANDBY):
            self._uploader.hurry(until_it_works=True)
        self._on_proven()

    async def _begun(self, store: Store) -> Uploader:
        backup = self._begin.backup
        appid = self._begin.spec.appid
        if backup is not None:
            self.backup = await self._clock.in_thread(lambda: open_backup(backup))
        return Uploader(
            store,
            self._clock,
            self._chance,
            on_stored=self._on_stored,
            on_written=self._on_written,
            on_trouble=self._on_trouble,
            on_lost=self._on_lost,
            on_crash=self._on_crash,
            backup=self.backup,
            backup_after_s=0.0 if backup is None else backup.after_s,
            backup_address=lambda key: keys.backup_key(appid, key),
        )

    async def _reopen(self) -> None:
        """With newer keys: what waits for another try takes them."""
        secrets = self._secrets
        store = await self._clock.in_thread(lambda: self._open_store(secrets))
        if self._uploader is not None and secrets is self._secrets:
            self._uploader.replace(store)
            self._on_open(store, self._uploader)
