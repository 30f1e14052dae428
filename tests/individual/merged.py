"""A scripted call recorded user by user, with the rows and the index that a farm would have of it; and what a merge shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np

from farm.judge.users import Eye, Watched
from models.database import Database
from models.repositories import apps, nodes, recordings, resources, tenures
from models.vocabulary import keys
from models.vocabulary.spec import FolderStore, Secrets
from models.vocabulary.states import Role, Status
from models.vocabulary.ticks import SAMPLE_RATE, TICKS_PER_S
from tests.individual.streams import spec
from tests.recorder.virtual import SID, Run
from workers import bookkeeping, index
from workers.bookkeeping import Grantee
from workers.spool import Spool
from workers.synthetic.planes import luma
from workers.synthetic.tones import Beep, Samples, find

APPID = "a" * 32


def recorded(folder: Path, database: Database, channel: str, **fields: Any) -> Run:
    """`folder` is what the farm's REELYARD_STORES_ROOT must be; the recording has ended and its index lies with it."""
    asked = {"appid": APPID, "store": FolderStore(path="out")} | fields
    run = Run(folder, spec(channel, **asked)).record()
    assert (run.code, run.keeper.faults) == (0, [])
    with database.unit() as session:
        apps.add(session, appid=APPID, name="", channel=channel, store=None)
        nodes.beat(session, "n1", "b1", 400, "0", "", "", False, 60_000)
        resource = resources.acquire(session, appid=APPID, cname="room", uid="1", options={}, ttl_ms=300_000)
        recordings.create(session, sid=SID, resource=resource, spec=run.spec, secrets=Secrets(), weight=9, warnings=[])
        epoch = tenures.place(
            session, SID, role=Role.PRIMARY, node="n1", weight=9, from_90k=0, until_90k=None, deadline_ms=5_000
        )
        claim = tenures.claim(session, SID, epoch, "n1", "b1", ttl_ms=6_000)
        assert claim is not None
        facts = list(Spool(run.spool).entries())
        done = bookkeeping.commit(
            session, Grantee(SID, epoch, claim.owner), facts, slot_90k=2 * TICKS_PER_S, ending=True
        )
        assert done.refused == []
        row = recordings.get(session, SID)
        assert row is not None
        (run.out / keys.index_key((), SID, "room")).write_text(index.render(session, row, final=True))
    return run


def end(database: Database) -> None:
    with database.unit() as session:
        row = recordings.lock(session, SID)
        assert row is not None
        row.status = Status.EXITED


@dataclass
class Shown:
    """What a player makes of an MP4."""

    ticks: list[int] = field(default_factory=list)  # of its pictures
    eyes: list[Eye] = field(default_factory=list)
    sound: Samples = field(default_factory=lambda: np.zeros(0, np.float32))

    def numbers(self, user: int) -> list[int | None]:
        """Of his pictures, one after the other, wherever he has a cell."""
        return [sighting.number for sighting in self.eyes[user].seen]

    def beeps(self, user_no: int) -> list[Beep]:
        return find(self.sound, user_no)


def shown(path: Path, watched: Sequence[Watched] = ()) -> Shown:
    found = Shown(eyes=[Eye(it) for it in watched])
    pieces: list[tuple[int, Samples]] = []
    with av.open(str(path)) as source:
        for frame in source.decode():
            assert frame.time is not None
            if isinstance(frame, av.VideoFrame):
                found.ticks.append(round(frame.time * TICKS_PER_S))
                for eye in found.eyes:
                    eye.look(frame.time + 1e-6, luma(frame))
            elif isinstance(frame, av.AudioFrame):
                pieces.append((round(frame.time * SAMPLE_RATE), frame.to_ndarray()[0].astype(np.float32)))
    if pieces:
        found.sound = np.zeros(max(at + len(sound) for at, sound in pieces), np.float32)
    for at, sound in pieces:
        found.sound[max(0, at) : at + len(sound)] = sound[max(0, -at) :]
    return found
