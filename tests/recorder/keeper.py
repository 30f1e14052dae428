"""A keeper plays the worker for one recorder in the same loop: it commits journals and publishes documents, in memory.

What the real worker keeps in SQL is a sorted list here; everything else (journal, pipe messages, uploads, files) is real.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from models.vocabulary import journal, keys, pipe, playlist
from models.vocabulary.spec import RecordingSpec, Secrets
from models.vocabulary.states import Role, Status
from models.vocabulary.streams import MIX, Stream
from workers.spool import Spool


class Keeper:
    """The other end of a recorder's `Link`."""

    def __init__(self, sid: str, spec: RecordingSpec, spool: Path) -> None:
        self.sid, self.spec = sid, spec
        self.folder = spool
        self.slices: dict[str, journal.Slice] = {}
        self.stored: set[str] = set()
        self.gaps: list[journal.Gap] = []
        self.pauses: list[journal.Paused] = []
        self.lost: list[str] = []
        self.statuses: list[Status] = []
        self.faults: list[pipe.Fault] = []
        self.warnings: list[str] = []
        self.drained: pipe.Drained | None = None
        self.t0_ms: int | None = None
        self.anchor: pipe.Point | None = None
        self._spool = Spool(spool)
        self._down: asyncio.Queue[pipe.Down | None] = asyncio.Queue()
        self._committed = 0
        self._rev = 0
        self._written: dict[str, int] = {}
        self._sent: dict[str, int] = {}
        self._sealed = False

    def begin(self, opened_ms: int, *, role: Role = Role.PRIMARY, epoch: int = 1, **fields: object) -> pipe.Begin:
        self.folder.mkdir(parents=True, exist_ok=True)
        if isinstance(t0_ms := fields.get("t0_ms"), int):
            self.t0_ms = t0_ms
        self._index()
        self._down.put_nowait(pipe.LeaseOk(for_s=10 * 365 * 86400))
        return pipe.Begin(
            sid=self.sid, epoch=epoch, owner="0" * 32, role=role, spec=self.spec, secrets=Secrets(),
            opened_ms=opened_ms, spool=str(self.folder), **fields,
        )  # fmt: skip

    def say(self, message: pipe.Down) -> None:
        self._down.put_nowait(message)

    def hang_up(self) -> None:
        self._down.put_nowait(None)

    # -- Link ---------------------------------------------------------------------------------------------------

    async def messages(self) -> AsyncIterator[pipe.Down]:
        while (message := await self._down.get()) is not None:
            yield message

    def send(self, message: pipe.Message) -> None:
        match message:
            case pipe.Journal():
                self._commit(message.n)
            case pipe.State():
                self.statuses.append(message.status)
            case pipe.Fault():
                self.faults.append(message)
            case pipe.Warn():
                self.warnings.append(message.text)
            case pipe.Documented():
                self._written[message.key] = message.rev
            case pipe.Drained():
                self.drained = message
            case _:
                return
        self._conclude()

    # -- the state ----------------------------------------------------------------------------------------------

    def _commit(self, n: int) -> None:
        before = len(self.stored)
        for _, entry in self._spool.entries(after=self._committed):
            match entry:
                case journal.Zero():
                    self.t0_ms = entry.t0_ms
                    self.anchor = pipe.Point(clock_id=entry.clock_id, zero_s=entry.zero_s)
                case journal.Slice():
                    self.slices[entry.key] = entry
                case journal.Stored():
                    self.stored.add(entry.key)
                case journal.Lost():
                    self.slices.pop(entry.key, None)
                    self.lost.append(entry.key)
                case journal.Gap():
                    self.gaps.append(entry)
                case journal.Paused():
                    self.pauses.append(entry)
                case _:
                    pass
        self._committed = n
        self.say(pipe.Committed(n=n))
        if len(self.stored) > before and self.drained is None:
            self._playlist(final=False)

    def _conclude(self) -> None:
        if self.drained is None or self._sealed or not set(self.slices) <= self.stored:
            return
        if not self._sent.get("final"):
            self._sent["final"] = 0
            self._playlist(final=True)
            self._sent["final"] = 1
        if all(self._written.get(key, 0) >= rev for key, rev in self._sent.items() if key.endswith(".m3u8")):
            self._sealed = True
            self.say(pipe.Sealed())

    def _index(self) -> None:
        self._document(keys.index_key((), self.sid, self.spec.cname), "application/json", "{}\n")

    def _playlist(self, *, final: bool) -> None:
        stored = sorted((self.slices[k] for k in self.stored if k in self.slices), key=lambda s: s.start_90k)
        for track in sorted({s.track for s in stored}):
            stream = None if track == MIX else Stream.of(track)
            entries = [playlist.Entry(s.start_90k, s.end_90k, s.key, s.shape) for s in stored if s.track == track]
            assert self.t0_ms is not None
            text = playlist.render(entries, t0_ms=self.t0_ms, slice_s=self.spec.slice_s, ended=final, stream=stream)
            names = ((), self.sid, self.spec.cname)
            key = keys.playlist_key(*names) if stream is None else keys.stream_playlist_key(*names, stream)
            self._document(key, playlist.CONTENT_TYPE, text)

    def _document(self, key: str, content_type: str, text: str) -> None:
        self._rev += 1
        self._sent[key] = self._rev
        self.say(pipe.Document(key=key, content_type=content_type, text=text, rev=self._rev))
