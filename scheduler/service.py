"""Every operation on recordings, as the gateway, the farm and the command line call it. Sync; a unit of work each.

`start` and `stop` have a part that asks and a part that waits. They are apart (`begin_start`, then `glance` at many sids
in one query until `up` says so, then `started`), so that one watcher can wait for all the requests of a process; `start`
and `stop` do the whole in one thread, for whoever has only one.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import tokens
from models.database import Database, now_ms
from models.repositories import apps, files, nodes, notices, recordings, resources, tenures, timeline
from models.settings import Settings
from models.tables import App, Recording
from models.vocabulary import events
from models.vocabulary.errors import (
    AlreadyStarted,
    NoRecordedData,
    NoWorkers,
    Overloaded,
    RequestNotCompleted,
    ResourceExpired,
    TooManyRecordings,
    UnknownApp,
    WorkerNotFound,
)
from models.vocabulary.events import Event
from models.vocabulary.spec import Mode
from models.vocabulary.states import Role, Status, TenureState, ended
from scheduler import areas, dispatch, faults, lookup, modes, orders, publishing, rules, views, weights
from scheduler.broker import Broker
from scheduler.dispatch import Dispatch
from scheduler.pulling import Pulling
from scheduler.wishes import Wishes, terms_of

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.075


@dataclass(frozen=True, slots=True)
class Acquired:
    cname: str
    uid: str
    resource_id: str = field(repr=False)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Begun:
    """A start that is under way, or (`again`) was before."""

    sid: str
    cname: str
    uid: str
    resource_id: str = field(repr=False)
    again: bool = False
    warnings: tuple[str, ...] = ()

    def identity(self) -> dict[str, str]:
        return {"cname": self.cname, "uid": self.uid, "resourceId": self.resource_id, "sid": self.sid}


@dataclass(frozen=True, slots=True)
class Glance:
    """What the waiting ones look at."""

    status: int

    @property
    def up(self) -> bool:
        """Every part is ready, or it has ended: a start needs to wait no longer."""
        return self.status >= Status.READY

    @property
    def over(self) -> bool:
        return ended(self.status)


class Service(Wishes):
    def __init__(
        self,
        database: Database,
        broker: Broker,
        settings: Settings,
        *,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(database, broker)
        self.settings = settings
        self._now_s = now_s
        self._sleep = sleep

    # -- acquire ------------------------------------------------------------------------------------------------

    def acquire(self, appid: str, order: orders.Acquire, warnings: Sequence[str] = ()) -> Acquired:
        said = (*warnings, *rules.check_acquire(order))
        options = {
            "scene": order.scene,
            "resourceExpiredHour": order.resource_expired_hour,
            "region": order.region,
            "start_digest": order.start_digest,
            "exclude": list(order.exclude_resource_ids),
            "warnings": list(said),
        }
        with self.database.unit() as session:
            app = apps.get(session, appid)
            most = apps.limits(app).max_recordings
            if most and recordings.running(session, appid) >= most:
                raise TooManyRecordings(f"this app may record {most} channels at once; stop one, or raise its limit")
            ttl_ms = self.settings.resource_ttl_ms
            resource = resources.acquire(
                session, appid=appid, cname=order.cname, uid=order.uid, options=options, ttl_ms=ttl_ms
            )
        return Acquired(order.cname, order.uid, resource.resource_id, said)

    # -- start --------------------------------------------------------------------------------------------------

    def begin_start(self, appid: str, resource_id: str, order: orders.Start) -> Begun:
        """Create the recording, place it, wake its node up. Returns at once; an order that was given before is `again`."""
        rules.check_uid(order.uid)
        try:
            begun, sent = self._create(appid, resource_id, order)
        except AlreadyStarted:  # another request with this resource was faster by a hair
            begun, sent = self._create(appid, resource_id, order)
        if sent is not None:
            self.broker.record(sent.node, sent.sid, sent.epoch, sent.shown)
        return begun

    def _create(self, appid: str, resource_id: str, order: orders.Start) -> tuple[Begun, Dispatch | None]:
        with self.database.unit() as session:
            app = apps.get(session, appid)
            resource = lookup.resource(session, app, resource_id, order.cname, order.uid)
            if resource.sid is not None:
                return Begun(resource.sid, order.cname, order.uid, resource_id, again=True), None
            if resource.expires_ms < now_ms(session):
                raise ResourceExpired
            uid = order.uid or str(1 + secrets.randbelow(rules.MAX_UID))
            acquired = resource.options
            scene_said = modes.check_scene(int(acquired.get("scene", 0)), order)
            areas.check_area(str(acquired.get("region", "")), order.storage)
            spec, kept, warnings = rules.spec_of(order, terms_of(app), uid=uid)
            warnings += scene_said + rules.keys_last(order.storage, now_ms(session) // 1000)
            if (digest := resource.options.get("start_digest")) and digest != order.digest:
                warnings.append("clientRequest is not what acquire's startParameter said: this one counts")
            warnings = list(dict.fromkeys([*resource.options.get("warnings", []), *warnings]))
            recording = recordings.create(
                session,
                sid=secrets.token_hex(16),
                resource=resource,
                spec=spec,
                secrets=kept,
                weight=weights.weight(spec),
                warnings=warnings,
            )
            elsewhere = _nodes_of(session, app, resource.options.get("exclude", []))
            sent = self._place_or_wait(session, app, recording, avoid=elsewhere)
            return Begun(recording.sid, order.cname, order.uid, resource_id, warnings=tuple(warnings)), sent

    def _place_or_wait(
        self, session: Session, app: App, recording: Recording, *, avoid: Collection[str] = ()
    ) -> Dispatch | None:
        waits = apps.behaviour(app).when_full == "wait"
        try:
            deadline_ms = self.settings.dispatch_deadline_ms
            placed = dispatch.place(session, recording, Role.PRIMARY, deadline_ms=deadline_ms, avoid=avoid)
        except NoWorkers:
            if not waits:
                raise
            placed = None
        if placed is None and not waits:
            raise Overloaded
        return placed

    def started(self, begun: Begun) -> dict[str, Any]:
        """The answer of a start after its wait. Raises the fault that ended it, `RequestNotCompleted`, or `AlreadyStarted`."""
        with self.database.unit() as session:
            recording = recordings.get(session, begun.sid)
            if recording is None:
                raise WorkerNotFound
            # Not by t0_ms: it may have seen users before its store refused.
            if recording.status == Status.FAILED and not recording.sliced:
                raise faults.error_of(recording.fault, recording.reason)
            if begun.again:
                raise AlreadyStarted
            if recording.status >= Status.READY:
                return begun.identity()
            fault = f"; so far: {faults.in_words(recording.fault)}" if recording.fault else ""
            text = f"the recorder is not ready yet (status {recording.status}){fault}; repeat the request unchanged"
            raise RequestNotCompleted(text)

    def start(self, appid: str, resource_id: str, order: orders.Start) -> dict[str, Any]:
        begun = self.begin_start(appid, resource_id, order)
        if not begun.again:
            self._wait(begun.sid, lambda glance: glance.up, self.settings.start_wait_ms)
        return self.started(begun)

    # -- stop ---------------------------------------------------------------------------------------------------

    def stopped(self, sid: str, *, waited: bool = True) -> dict[str, Any]:
        """The answer of a stop after its wait (or, for `async_stop`, without one)."""
        with self.database.unit() as session:
            recording = recordings.get(session, sid)
            if recording is None:
                raise WorkerNotFound
            over = ended(recording.status)
            if recording.t0_ms is None or (over and not recording.sliced):
                if recording.fault and recording.status == Status.FAILED:
                    raise NoRecordedData(f"nothing was recorded: {faults.in_words(recording.fault)}")
                raise NoRecordedData
            if not waited or over:
                return views.stopped(recording, files.of(session, sid), timeline.streams(session, sid))
            text = "the recording is stopping; its last files are still being uploaded"
            said = events.error(events.Module.SERVICE, events.UPLOAD_TIMEOUT, text, level=events.SERIOUS)
            notices.say(session, sid, Event.ERROR, **said)
        raise RequestNotCompleted(text)

    def stop(self, appid: str, mode: Mode, resource_id: str, sid: str, order: orders.Stop) -> dict[str, Any]:
        self.begin_stop(appid, mode, resource_id, sid, order)
        if not order.async_stop:
            self._wait(sid, lambda glance: glance.over, self.settings.stop_wait_ms)
        return self.stopped(sid, waited=not order.async_stop)

    # -- waiting ------------------------------------------------------------------------------------------------

    def glance(self, sids: Collection[str]) -> dict[str, Glance]:
        """How they stand, in one query. A sid that is missing is not on record any more."""
        with self.database.unit() as session:
            rows = session.execute(select(Recording.sid, Recording.status).where(Recording.sid.in_(sids)))
            return {sid: Glance(status) for sid, status in rows}

    def _wait(self, sid: str, enough: Callable[[Glance], bool], within_ms: int) -> None:
        until_s = self._now_s() + within_ms / 1000
        while (glance := self.glance([sid]).get(sid)) is not None and not enough(glance):
            if self._now_s() >= until_s:
                return
            self._sleep(LOOK_EVERY_S)

    # -- publishing ---------------------------------------------------------------------------------------------

    def mint_publisher(self, appid: str, cname: str, uid: str, ttl_s: int) -> publishing.Ticket:
        return publishing.mint(self.database, self._keys(), appid, cname, uid, ttl_s)

    def publish(self, appid: str, cname: str, uid: str, token: str) -> str:
        """Where a publisher with this token is to go: the address at the ingest that holds the room."""
        return publishing.admit(self.database, self._keys(), appid, cname, uid, token)

    # -- users that are URLs ------------------------------------------------------------------------------------

    def pull(self, appid: str, cname: str, uid: str, url: str) -> dict[str, Any]:
        return Pulling(self.database, self.settings, self.broker.nudge).add(appid, cname, uid, url)

    def pulled(self, appid: str, cname: str) -> dict[str, Any]:
        return Pulling(self.database, self.settings, self.broker.nudge).users(appid, cname)

    def unpull(self, appid: str, cname: str, uid: str) -> dict[str, Any]:
        return Pulling(self.database, self.settings, self.broker.nudge).remove(appid, cname, uid)

    def _keys(self) -> tuple[bytes, ...]:
        return tokens.whip_keys(self.settings.secret_keys.get_secret_value())

    # -- who asks, and health -----------------------------------------------------------------------------------

    def authenticate(self, appid: str, key: str, secret: str) -> int:
        """How many requests a second the app may do. Raises `UnknownApp` or `Unauthorized`."""
        with self.database.unit() as session:
            app = apps.get(session, appid)
            apps.authenticate(session, key, secret, appid)
            return apps.limits(app).requests_per_s

    def knows(self, key: str, secret: str) -> bool:
        """Whether it is some customer's key."""
        with self.database.unit() as session:
            return apps.knows(session, key, secret)

    def ready(self) -> dict[str, str]:
        """What keeps the farm from recording, by part; empty: nothing."""
        wrong: dict[str, str] = {}
        try:
            with self.database.unit() as session:
                if not nodes.live(session):
                    wrong["workers"] = NoWorkers().text
        except Exception as error:  # whatever it is, the farm is not ready, and the text says why
            wrong["database"] = str(error)
        try:
            self.broker.check()
        except Exception as error:  # as above
            wrong["broker"] = str(error)
        return wrong


def _nodes_of(session: Session, app: App, resource_ids: Sequence[str]) -> set[str]:
    """Where the recordings of these resources run: important channels are recorded twice, apart from each other."""
    found = set()
    for resource_id in resource_ids:
        other = resources.get(session, resource_id)
        if other is not None and other.appid == app.appid and other.sid is not None:
            found |= {t.node for t in tenures.of(session, other.sid) if t.state is not TenureState.ENDED}
    return found


__all__ = ["Acquired", "Begun", "Glance", "Service", "UnknownApp"]
