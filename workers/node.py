"""A node: a worker process, its row, its tenures. It renews them all in one statement and hands each what is wanted of it."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import httpx
import redis
from sqlalchemy.orm import Session

from models.database import Database, now_ms
from models.repositories import nodes, tenures
from models.settings import Settings
from models.tokens import mint_time, whip_keys
from models.vocabulary import messages
from models.vocabulary.errors import NameTaken, ReelyardError, StateUnavailable
from models.vocabulary.states import Role
from workers.assignment import Assignment
from workers.children import Nursery
from workers.joining import Joining, join
from workers.salvage import Salvage
from workers.supervision import Supervision

log = logging.getLogger(__name__)

NODE_TTL_FACTOR: Final = 2  # a node may be late with its beat where its tenures may not
INGEST_TIMEOUT_S: Final = 1.0
DRAIN_REPORT_S: Final = 4.0
WARM_S: Final = 10.0


def server_version() -> str:
    try:
        return version("reelyard-server")
    except PackageNotFoundError:
        return "0"


class Node:
    def __init__(self, config: Settings, database: Database) -> None:
        self._config = config
        self._database = database
        self._nursery = Nursery()
        self._boot = secrets.token_hex(8)
        self._running: dict[tuple[str, int], Supervision] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._over = threading.Event()
        self._draining = False
        self._is_full = False
        self._claiming = 0
        self._database_ahead_s: float | None = None  # of our monotonic clock
        self._threads: list[threading.Thread] = []

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._config.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._nursery.warm(WARM_S)  # a node that says it is up starts recordings at once
        self._take_name()
        for name, work in (("renewals", self._renewals), ("nudges", self._nudges)):
            thread = threading.Thread(target=work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)
        Salvage(self._database, self._nursery, self._config.spool, self.supervises, self._config.backup).start()

    def _take_name(self) -> None:
        """A run of this node that was killed holds the name until its time is out: wait for that, not for ever."""
        until = time.monotonic() + 2 * NODE_TTL_FACTOR * self._config.tenure_ttl_ms / 1000
        while True:
            try:
                return self._beat()
            except NameTaken:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def drain(self) -> None:
        """This process is leaving: nothing new is placed here, and what is here gets a successor elsewhere."""
        self._draining = True
        self._wake.set()
        threading.Thread(target=self._report_drain, name="drain", daemon=True).start()

    def _report_drain(self) -> None:
        """Say what keeps the process: people watch a deploy, and wonder."""
        while not self._over.wait(timeout=DRAIN_REPORT_S):
            with self._lock:
                left = sorted(sid for sid, _ in self._running)
                unsent_mb = sum(s.unsent_bytes for s in self._running.values()) / 1e6
            if not left:
                return
            log.warning(
                "%s; still recording %s; %.1f MB are in no store yet",
                self._drain_prospect(),
                ", ".join(left),
                unsent_mb,
            )

    def _drain_prospect(self) -> str:
        try:
            with self._database.unit() as session:
                others = [n for n in nodes.live(session) if not n.draining and not n.cordoned]
        except ReelyardError:
            return "draining, and the state cannot be reached"
        if not others:
            return "draining, but no other node is there to take over: recording on until one appears"
        return f"draining; {len(others)} other nodes may take over"

    def stop(self) -> None:
        self._over.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(timeout=2)
        try:
            with self._database.unit() as session:
                nodes.leave(session, self._config.node_name, self._boot)
        except ReelyardError as error:
            log.warning("the node's row could not be closed: %s", error.text)
        self._nursery.close()

    # -- tenures ------------------------------------------------------------------------------------------------

    def supervise(self, sid: str, epoch: int, *, on_claimed: Callable[[], None]) -> None:
        """Claim a tenure and see it through. A duplicate, stale or late message claims nothing and returns at once."""
        assignment = self._claim(sid, epoch)
        if assignment is None:
            log.info("nothing to claim", extra={"sid": sid, "epoch": epoch})
            return
        supervision = Supervision(self._database, self._nursery, self._config.spool, assignment)
        with self._lock:
            self._running[sid, epoch] = supervision
        self._wake.set()
        on_claimed()
        try:
            supervision.run()
        finally:
            with self._lock:
                del self._running[sid, epoch]

    def supervises(self, sid: str, owner: str) -> bool:
        with self._lock:
            return any(s.who.sid == sid and s.who.owner == owner for s in self._running.values())

    def _claim(self, sid: str, epoch: int) -> Assignment | None:
        config = self._config
        before_ms = time.monotonic() * 1000
        with self._database.unit() as session:
            claimed = Assignment.claimed(session, sid, epoch, config.node_name, self._boot, ttl_ms=config.tenure_ttl_ms)
            if claimed is None:
                return None
            assignment, database_ms = claimed
            after_ms = time.monotonic() * 1000
            joining = self._join(session, assignment)
        offset_ms = database_ms - (before_ms + after_ms) / 2
        return replace(assignment, steady_offset_ms=offset_ms, joining=joining, backup=config.backup)

    def _join(self, session: Session, assignment: Assignment) -> Joining:
        if assignment.role is Role.FINALISER:
            return Joining("")
        keys, token = self._config.secret_keys.get_secret_value(), assignment.secrets.channel_token
        return join(session, assignment.spec, keys, token)

    # -- renewals -----------------------------------------------------------------------------------------------

    def _renewals(self) -> None:
        while not self._over.is_set():
            try:
                self._renew()  # first: a nudge is in somebody's way until its wish has reached a recorder
                self._beat()
            except StateUnavailable as error:
                log.warning("not renewed: %s", error.text)  # the recorders go on; the next round tries again
            except ReelyardError as error:
                log.error("not renewed: %s", error.text)
            except Exception:
                log.exception("not renewed")  # a node whose renewals have ended looks alive and loses all it has
            self._wake.wait(timeout=self._config.tenure_renew_ms / 1000)
            self._wake.clear()

    def _renew(self) -> None:
        with self._lock:
            running = dict(self._running)
        alive = {key: s for key, s in running.items() if s.proves_itself}
        if not alive:
            return
        asked = [(s.who.sid, s.who.epoch, s.who.owner, s.observed_gen) for s in alive.values()]
        asked_at_s = time.monotonic()
        with self._database.unit() as session:
            answers = tenures.renew(session, self._config.node_name, asked, self._config.tenure_ttl_ms)
        held = {(a.sid, a.epoch): a for a in answers}
        for key, supervision in alive.items():
            answer = held.get(key)
            if answer is None:
                supervision.fenced()
            else:
                supervision.renewed(answer, asked_at_s)

    def _beat(self) -> None:
        config = self._config
        ingest_up = self._ingest_up()  # not inside the unit: it may hold the database's only lock
        spool_full = self._spool_full()
        with self._database.unit() as session:
            row = nodes.beat(
                session,
                config.node_name,
                self._boot,
                config.node_capacity,
                server_version(),
                config.ingest_url,
                config.ingest_units,
                ingest_up,
                config.tenure_ttl_ms * NODE_TTL_FACTOR,
                spool_full,
            )
            told_to_drain = row.draining
            self._database_ahead_s = now_ms(session) / 1000 - time.monotonic()
            if self._draining:
                nodes.set_draining(session, config.node_name, True)
        if told_to_drain and not self._draining:
            log.info("told to drain: leaving as if by SIGTERM")
            os.kill(os.getpid(), signal.SIGTERM)  # Celery's own warm shutdown; its signal tells us to drain

    def _spool_full(self) -> bool:
        """Below its low water this node takes no new recording: what it has needs the room."""
        free_bytes = shutil.disk_usage(self._config.spool).free
        is_full = free_bytes < self._config.spool_low_bytes
        if is_full != self._is_full:
            self._is_full = is_full
            log.warning("%s bytes are free in the spool: %s", free_bytes, "nothing new" if is_full else "open again")
        return is_full

    def _ingest_up(self) -> bool:
        """Whether the ingest beside this node answers. Our own neighbour, so not an address that a user named. It is told
        the database's time: publishers' tokens live for seconds, and this host's clock may be an hour off.
        """
        if not self._config.ingest_url:
            return False
        headers = {}
        if self._database_ahead_s is not None:
            key = whip_keys(self._config.secret_keys.get_secret_value())[0]
            headers["Authorization"] = f"Bearer {mint_time(key, time.monotonic() + self._database_ahead_s)}"
        address = f"http://{self._config.ingest_bind}/healthz"
        try:
            return httpx.get(address, headers=headers, timeout=INGEST_TIMEOUT_S).is_success
        except (httpx.HTTPError, httpx.InvalidURL):
            return False

    # -- nudges -------------------------------------------------------------------------------------------------

    def _nudges(self) -> None:
        """A nudge brings the next renewal forward. One that is lost costs one renewal interval, nothing else."""
        while not self._over.is_set():
            try:
                self._follow_nudges()
            except (redis.RedisError, OSError, ValueError) as error:
                log.warning("no nudges: %s", type(error).__name__)
                self._over.wait(timeout=2)

    def _follow_nudges(self) -> None:
        client = redis.Redis.from_url(self._config.broker_url, socket_timeout=5, socket_connect_timeout=2)
        with client, client.pubsub(ignore_subscribe_messages=True) as channel:  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            channel.subscribe(messages.NUDGE)
            while not self._over.is_set():
                told = channel.get_message(timeout=1)
                if told is not None and self._is_mine(told["data"]):
                    self._wake.set()

    def _is_mine(self, sid: bytes) -> bool:
        with self._lock:
            return any(key[0].encode() == sid for key in self._running)
