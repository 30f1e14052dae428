"""One recording's recorder: take → spool → store, told and heard through the pipe. It never blocks on anybody.

Facts go to the journal first; the pipe says how far it goes; a slice is uploaded once the worker has its place in the timeline.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from posixpath import basename
from typing import Final

from models.settings import settings
from models.vocabulary import journal, keys, pipe
from models.vocabulary.channel import Channel
from models.vocabulary.errors import DiskFull, Internal, ReelyardError, Scope, StorageError
from models.vocabulary.spec import Mode, RecordingSpec, Secrets
from models.vocabulary.states import HoleState, Role
from models.vocabulary.timing import Clock
from stores.base import Store
from stores.opening import open_store
from workers.recorder.aftermath import aftermath
from workers.recorder.capture.opening import open_channel
from workers.recorder.chores import Chores
from workers.recorder.chronicle import Chronicle
from workers.recorder.film.studio import Studio
from workers.recorder.link import Link
from workers.recorder.mixer.gallery import download
from workers.recorder.notebook import Notebook
from workers.recorder.outbox import Outbox
from workers.recorder.past import Past
from workers.recorder.reports import Reports
from workers.recorder.segment.slices import ClosedSlice
from workers.recorder.shelf import Shelf
from workers.recorder.take import Take
from workers.recorder.upload.delivery import Delivery
from workers.recorder.upload.uploader import PRIMARY, StoreName, Text, Uploader
from workers.spool import Spool

log = logging.getLogger(__name__)

BEAT_S: Final = 0.5
#: A cancelled recording waits so long for what is on its way to a store: it would lie there, and nobody would know of it.
LANDING_S: Final = 3.0

OpenChannel = Callable[[str, Clock], Channel]
OpenStore = Callable[[RecordingSpec, Secrets], Store]


def join_channel(address: str, clock: Clock) -> Channel:
    return open_channel(address, clock, settings().allow_networks)


def reach_store(spec: RecordingSpec, secrets: Secrets) -> Store:
    config = settings()
    return open_store(spec.store, secrets.store, stores_root=config.stores_root, allow_networks=config.allow_networks)


class Recorder:
    def __init__(
        self,
        begin: pipe.Begin,
        link: Link,
        messages: AsyncIterator[pipe.Down],
        clock: Clock,
        chance: Callable[[], float],
        *,
        open_channel: OpenChannel = join_channel,
        open_store: OpenStore = reach_store,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._begin = begin
        self._link = link
        self._messages = messages
        self._clock = clock
        self._chance = chance
        self._open_channel = open_channel
        self._open_store = open_store
        self._spool = Spool(Path(begin.spool))
        self._shelf = Shelf(self._spool.folder)
        self._notebook = Notebook(self._spool, lambda n: self._link.send(pipe.Journal(n=n)))
        self._fact: Callable[[journal.Entry], None] = self._notebook.write
        self._chronicle = Chronicle(self._fact, mixes=begin.spec.mode is Mode.MIX)
        prefix = keys.prefix_path(begin.spec.file_prefix)
        self._outbox = Outbox(self._spool.folder, prefix, self._shelf, self._notebook)
        self._recording = False
        self._studio = self._films(sleep) if "mp4" in begin.spec.av_file_type else None
        self._take: Take | None = None
        self._reports = Reports(link)
        self._finishing = False
        self._cancelled = False
        self._captured = begin.resume_at_90k > 0 or begin.role is Role.FINALISER  # there is something to lose
        self._chores = Chores(self._crash)
        self._delivery = self._deliveries()
        self._work: asyncio.Task[int] | None = None
        self._broken: BaseException | None = None
        self._sealed = asyncio.Event()
        self._gone = asyncio.Event()
        self._fatal = False
        self.on_orphaned: Callable[[], object] = lambda: None

    def _films(self, sleep: Callable[[float], None]) -> Studio:
        return Studio(
            self._spool,
            self._shelf,
            self._begin.spec,
            self._clock,
            self._chance,
            fact=self._fact,
            on_trouble=self._troubled,
            records=lambda: self._recording,
            sleep=sleep,
        )

    def _deliveries(self) -> Delivery:
        return Delivery(
            self._begin,
            self._clock,
            self._chance,
            lambda secrets: self._open_store(self._begin.spec, secrets),
            spawn=self._chores.do,
            on_open=self._store_open,
            on_proven=self._store_proven,
            on_stored=self._stored,
            on_written=self._written,
            on_trouble=self._troubled,
            on_lost=self._lost,
            on_crash=self._crash,
        )

    # -- life ---------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Exit code: 0 all done, 4 a fatal fault (told before), 5 the worker is gone."""
        try:
            return await self._work_or_crash()
        except ReelyardError as error:
            self._reports.fault(error, fatal=True)
            return 4
        except Exception as error:
            # Half a recorder is worse than none: it says so and leaves, and its worker starts another.
            log.exception("the recorder failed")
            self._reports.fault(Internal(f"the recorder failed: {type(error).__name__}"), fatal=True)
            return 4
        finally:
            await self._chores.close()
            await self._delivery.close()

    async def _work_or_crash(self) -> int:
        self._work = asyncio.ensure_future(self._all())
        self._chores.do(self._listen())
        self._chores.do(self._beat())
        try:
            return await self._work
        except asyncio.CancelledError:
            if self._broken is None:
                raise
            raise self._broken from None

    async def _all(self) -> int:
        past = self._remember()
        self._chores.do(self._delivery.open())  # capture does not wait for the store
        if self._studio is not None:
            self._chores.do(self._studio.run())
        if self._begin.role is Role.FINALISER:
            head_90k, reason = past.died_at_90k or 0, "finish"
        else:
            self._reports.starting()
            head_90k, reason = await self._record(past)
        if self._fatal:
            return 4
        self._delivery.hurry()
        while len(self._notebook):
            await self._clock.sleep_until(self._clock.now() + BEAT_S)
        self._link.send(pipe.Drained(reason=reason, n=self._spool.n, head_90k=head_90k))
        await self._first_of(self._sealed, self._gone)
        if self._sealed.is_set():
            self._link.send(pipe.Bye())
            return 0
        return 4 if self._fatal else 5

    def _crash(self, error: BaseException) -> None:
        if self._work is not None and self._broken is None:
            self._broken = error
            self._work.cancel()

    def orphaned(self) -> None:
        """The worker is gone: close the slice and leave; the spool has everything."""
        if not self._gone.is_set():
            self._gone.set()
            if self._take is not None:
                self._take.finish("stdin")
            self.on_orphaned()

    def _remember(self) -> Past:
        """What an earlier process of this spool left: closed slices, and one that it was still writing."""
        begin = self._begin
        found = aftermath(self._spool)
        self._outbox.remember(found)
        if self._studio is not None:
            self._studio.remember()
        self._captured |= found.end_90k is not None
        past = Past(begin, found)
        self._fact(
            journal.Begun(sid=begin.sid, epoch=begin.epoch, owner=begin.owner, resume_at_90k=begin.resume_at_90k)
        )
        for part in self._spool.partials():
            past.recover(part, on_slice=self._closed, on_trouble=self._troubled, on_warning=self._reports.warning)
        self._chronicle.goes_on_from(past.died_at_90k)
        self._link.send(pipe.Journal(n=self._spool.n))
        return past

    async def _record(self, past: Past) -> tuple[int, str]:
        begin = self._begin
        address = begin.channel_address or begin.spec.channel
        self._take = Take(
            begin.model_copy(update={"t0_ms": past.t0_ms, "held_90k": past.held_90k}),
            self._clock,
            self._open_channel(address, self._clock),
            self._spool.folder,
            resume_at_90k=past.resume_at_90k,
            on_joined=lambda: self._reports.ready("channel"),
            on_zero=self._chronicle.zero,
            on_first_frame=self._chronicle.first_frame,
            on_slice=self._closed,
            on_warning=self._reports.warning,
            on_stream=self._reports.stream,
            on_open=self._chronicle.opened,
            on_hole=self._chronicle.hole,
            on_snapshot=self._outbox.snapshot,
            on_held=self._chronicle.hold_begins,
            on_paused=self._chronicle.hold_ends,
            before=past.before,
            download=lambda url: download(url, settings().allow_networks),
        )
        if self._gone.is_set():
            self._take.finish("stdin")
        elif self._finishing:
            self._take.finish("finish")
        self._recording = True
        ending = await self._take.run()
        self._recording = False
        self._chronicle.closed(ending.head_90k)
        return ending.head_90k, ending.reason

    def _store_open(self, store: Store, uploader: Uploader) -> None:
        self._outbox.open(uploader.put)
        if self._studio is not None:
            self._studio.open(store, uploader.put, self._delivery.backup)

    def _store_proven(self) -> None:
        if self._begin.role in (Role.SUCCESSOR, Role.STANDBY):
            self._reports.ready("store")  # it writes no document that would prove the store

    # -- facts --------------------------------------------------------------------------------------------------

    def _closed(self, slice_: ClosedSlice) -> None:
        if self._fatal or self._cancelled:  # refused, or not wanted any more: these moments are no part of a recording
            slice_.path.unlink(missing_ok=True)
            return
        if slice_.lost:
            self._captured = True
            self._chronicle.hole(slice_.track, slice_.start_90k, slice_.end_90k, slice_.lost, HoleState.LOST)
            self._troubled(DiskFull())
            return
        self._captured = True
        self._outbox.slice(slice_)

    def _stored(self, key: str, store: StoreName) -> None:
        if store == PRIMARY:
            self._reports.no_trouble()
        self._store_proven()
        self._outbox.stored(key, store)

    def _lost(self, key: str) -> None:
        self._outbox.lost(key)
        self._reports.fault(StorageError(f"{basename(key)} is gone from the spool before it was stored"))

    def _written(self, key: str, rev: int, store: StoreName) -> None:
        self._link.send(pipe.Documented(key=key, rev=rev, store=store))
        if store == PRIMARY:
            self._reports.no_trouble()
            self._reports.ready("store")

    # -- telling ------------------------------------------------------------------------------------------------

    def _troubled(self, error: ReelyardError) -> None:
        """A put failed and will be tried again; said once for each kind, and fatal while the start still waits for it
        and nothing is recorded that could be lost.
        """
        if (
            not self._reports.is_ready("store")
            and not self._captured
            and error.scope is Scope.CALLER
            and not error.retryable
        ):
            if self._fatal:
                return
            self._reports.fault(error, fatal=True)
            self._fatal = True
            self._gone.set()
            if self._take is not None:
                self._take.finish("closed")
            return
        self._reports.trouble(error)

    async def _beat(self) -> None:
        while True:
            take = self._take
            self._notebook.flush()
            if take is not None:
                self._chronicle.position(take.position_90k)
            self._link.send(
                pipe.Alive(
                    n=self._spool.n,
                    late_ms=take.late_ms if take else 0.0,
                    position_90k=take.position_90k if take else 0,
                    last_user_90k=take.last_user_90k if take else None,
                    users=take.users if take else 0,
                    overloaded=take.overloaded if take else False,
                    unsent_bytes=self._delivery.unsent_bytes,
                    store_reads=self._delivery.store_reads,
                )
            )
            await self._clock.sleep_until(self._clock.now() + BEAT_S)

    # -- hearing ------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        async for message in self._messages:
            self._hear(message)
        self.orphaned()

    def _hear(self, message: pipe.Down) -> None:
        match message:
            case pipe.Committed():
                self._outbox.committed(message)
            case pipe.LeaseOk():
                self._delivery.writer_for(message.for_s)
            case pipe.Document():
                text = Text(message.key, message.content_type, message.text, message.rev, message.final)
                self._delivery.write(text, message.store)
            case pipe.Film() | pipe.Rushes() if self._studio is not None:
                self._studio.order(message)
            case pipe.Filmed() if self._studio is not None:
                self._studio.done_with(message.start_90k, message.end_90k)
            case pipe.Finish():
                self._finish(cancel=message.cancel)
            case pipe.Hold() if self._take is not None:
                self._take.hold(message.on)
            case pipe.Hold():
                self._begin = self._begin.model_copy(update={"on_hold": message.on})
            case pipe.Cut() if self._take is not None:
                self._take.cut(message.at_90k)
            case pipe.Spec():
                self._respec(message)
            case pipe.Sealed():
                self._sealed.set()
            case _:
                pass

    def _respec(self, message: pipe.Spec) -> None:
        if self._take is not None:
            self._take.respec(message.spec)
        else:
            self._begin = self._begin.model_copy(update={"spec": message.spec})
        if message.secrets is not None:
            self._delivery.renew(message.secrets)
            self._pull(message.secrets.pulls)

    def _pull(self, users: Mapping[str, str]) -> None:
        """Of a channel whose users are URLs, these are wanted from now on."""
        if self._take is not None:
            self._take.pull(users)
        else:
            secrets = self._begin.secrets.model_copy(update={"pulls": dict(users)})
            self._begin = self._begin.model_copy(update={"secrets": secrets})

    def _finish(self, *, cancel: bool) -> None:
        self._finishing = True
        if self._take is not None:
            self._take.finish("finish")
        if cancel and not self._cancelled:
            self._cancelled = True
            self._chores.do(self._forget())

    async def _forget(self) -> None:
        """What is on its way to a store may still land, for a moment; all else that no store has is never sent."""
        self._drop(flying=False)
        await self._clock.sleep_until(self._clock.now() + LANDING_S)
        self._drop(flying=True)

    def _drop(self, *, flying: bool) -> None:
        self._outbox.drop(self._delivery.drop(flying=flying))

    async def _first_of(self, *events: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(e.wait()) for e in events]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
