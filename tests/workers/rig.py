"""One node in this process, its recorders as real subprocesses, the scheduler's part played by hand."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from farm.judge.report import Verdict, judge_recording
from models.database import Database
from models.repositories import recordings, resources, tenures
from models.settings import Settings
from models.tables import Recording
from models.vocabulary import keys
from models.vocabulary.spec import FolderStore, RecordingSpec, Secrets, StoreKeys, VideoSpec
from models.vocabulary.states import Role, Wanted
from tests.models.farm import APPID, app, spec
from tests.recorder.virtual import HEIGHT, WIDTH, scene, user
from workers.node import Node

SID = "7" * 32
NODE = "n1"
SECRET = "token-in-the-clear"


class Rig:
    def __init__(self, database: Database, folder: Path, **settings: Any) -> None:
        self.database = database
        self.folder = folder
        self.store = folder / "stores" / "calls"
        config = Settings(
            node_name=NODE,
            spool=folder / "spools",
            broker_url="redis://127.0.0.1:9/0",  # nudges are a convenience: nobody listens there
            tenure_renew_ms=300,
            node_capacity=400,
            **settings,
        )
        self.node = Node(config, database)
        self.node.start()
        self.threads: list[threading.Thread] = []

    def recording(self, *users: dict[str, Any], **fields: Any) -> RecordingSpec:
        """A started recording of a scene; without users: two who stay."""
        channel = scene(self.folder, *(users or (user("a"), user("b"))))
        video = VideoSpec(width=WIDTH, height=HEIGHT, fps=15, bitrate_bps=100_000)
        store = fields.pop("store", FolderStore(path="calls"))
        keys = fields.pop("keys", StoreKeys())
        wanted = spec(channel=channel, store=store, video=video, slice_s=2, **fields)
        with self.database.unit() as session:
            app(session)
            resource = resources.acquire(session, appid=APPID, cname="room", uid="1", options={}, ttl_ms=300_000)
            secrets = Secrets(channel_token=SECRET, store=keys)
            recordings.create(session, sid=SID, resource=resource, spec=wanted, secrets=secrets, weight=100)
        return wanted

    def dispatch(self, role: Role = Role.PRIMARY) -> int:
        """Place a tenure and let the node have it, as its Celery task would."""
        with self.database.unit() as session:
            epoch = tenures.place(session, SID, role=role, node=NODE, weight=100, deadline_ms=5_000)
        thread = threading.Thread(target=self.node.supervise, args=(SID, epoch), kwargs={"on_claimed": lambda: None})
        thread.daemon = True
        thread.start()
        self.threads.append(thread)
        return epoch

    def row(self) -> Recording:
        with self.database.unit() as session:
            row = recordings.get(session, SID)
        assert row is not None
        return row

    def status(self, wanted: int, *, within_s: float = 20) -> Recording:
        self.until(lambda: self.row().status >= wanted, f"status {wanted}", within_s)
        return self.row()

    def until(self, true: Callable[[], object], what: str, within_s: float = 20) -> None:
        deadline = time.monotonic() + within_s
        while not true():
            assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
            time.sleep(0.05)

    def slices(self, more_than: int) -> None:
        self.until(lambda: len(list(self.store.glob("*.ts"))) > more_than, f"{more_than} slices")

    def end(self) -> None:
        with self.database.unit() as session:
            recordings.want(session, SID, Wanted.STOP, "stop called")

    def stop(self) -> Recording:
        self.end()
        row = self.status(8)
        self.until(lambda: not any(t.is_alive() for t in self.threads), "its task ends")
        return row

    def pid(self) -> int:
        """The recorder that is at work."""
        (supervision,) = self.node._running.values()
        pid = supervision.recorder_pid
        assert pid is not None
        return pid

    @property
    def has_recorder(self) -> bool:
        return any(supervision.recorder_pid is not None for supervision in self.node._running.values())

    def kill(self, sig: signal.Signals = signal.SIGKILL) -> int:
        pid = self.pid()
        os.kill(pid, sig)
        return pid

    @property
    def playlist(self) -> Path:
        return self.store / keys.playlist_key((), SID, "room")

    def judge(self) -> Verdict:
        return judge_recording(self.playlist)

    def close(self) -> None:
        for supervision in list(self.node._running.values()):
            supervision._done = True
        for thread in self.threads:
            thread.join(timeout=5)
        self.node.stop()
