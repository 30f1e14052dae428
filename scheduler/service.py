"""Every operation on recordings, as the gateway, the farm and the command line call it. Sync; a unit of work each.

`start` and `stop` have a part that asks and a part that waits. They are apart (`begin_start`, then `glance` at many sids
in one query until `up` says so, then `started`), so that one watcher can wait for all the requests of a process; `start`
and `stop` do the whole in one thread, for whoever has only one.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import tokens
from models.database import Database, now_ms
from models.repositories import apps, files, nodes, notices, recordings, resources, tenures, timeline
from models.settings import Settings
from models.tables import App, Recording, Resource
from models.vocabulary import events
from models.vocabulary.errors import (
    AlreadyStarted,
    BadLayout,
    BadParameter,
    InvalidOperation,
    NoRecordedData,
    NotBuiltYet,
    NoWorkers,
    Overloaded,
    RequestNotCompleted,
    ResourceExpired,
    ResourceMismatch,
    ResourceUnreadable,
    ServiceExiting,
    SidMismatch,
    TooManyRecordings,
    UnknownApp,
    WorkerNotFound,
)
from models.vocabulary.events import Event
from models.vocabulary.spec import Mode, RecordingSpec, Secrets
from models.vocabulary.states import Role, Status, TenureState, Wanted, ended
from scheduler import dispatch, faults, modes, orders, publishing, rules, views, weights
from scheduler.broker import Broker
from scheduler.dispatch import Dispatch

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.075
MAX_PAGE: Final = 200
HOUR_MS: Final = 3_600_000
STOP_CALLED: Final = "stop called"


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


@dataclass(frozen=True, slots=True)
class Changed:
    """The answer of an update."""

    body: dict[str, str]
    warnings: tuple[str, ...] = ()


SpecChange = Callable[[RecordingSpec, Secrets, rules.AppTerms], tuple[RecordingSpec, Secrets, list[str]]]


class Service:
    def __init__(
        self,
        database: Database,
        broker: Broker,
        settings: Settings,
        *,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.database = database
        self.broker = broker
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
            resource = _resource(session, app, resource_id, order.cname, order.uid)
            if resource.sid is not None:
                return Begun(resource.sid, order.cname, order.uid, resource_id, again=True), None
            if resource.expires_ms < now_ms(session):
                raise ResourceExpired
            uid = order.uid or str(1 + secrets.randbelow(rules.MAX_UID))
            modes.check_scene(int(resource.options.get("scene", 0)), order.mode)
            spec, kept, warnings = rules.spec_of(order, _terms(app), uid=uid)
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

    def begin_stop(self, appid: str, mode: Mode, resource_id: str, sid: str, order: orders.Stop) -> None:
        """Want it to end. Raises `InvalidOperation` when it is ending already, `WorkerNotFound` when it has ended."""
        with self._told_of_misfits(sid), self.database.unit() as session:
            recording = _running(session, appid, mode, resource_id, sid)
            _same(recording, order.cname, order.uid)
            if recording.status >= Status.STOPPING or not recordings.want(session, sid, Wanted.STOP, STOP_CALLED):
                raise InvalidOperation(f"the recording is already ending: {recording.wanted_cause or recording.reason}")
        self.broker.nudge(sid)

    def stop_own(self, appid: str, sid: str) -> dict[str, Any]:
        """Stop by sid alone, also when resourceExpiredHour is over. Stopping twice is like stopping once."""
        with self.database.unit() as session:
            recording = recordings.get(session, sid)
            if recording is None or recording.appid != appid:
                raise WorkerNotFound("there is no recording of that sid on record")
            if not ended(recording.status):
                recordings.want(session, sid, Wanted.STOP, STOP_CALLED)
        self.broker.nudge(sid)
        return self.record(appid, sid)

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
                return views.stopped(recording, files.of(session, sid))
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

    # -- query and the rest -------------------------------------------------------------------------------------

    def query(self, appid: str, mode: Mode, resource_id: str, sid: str) -> dict[str, Any]:
        with self.database.unit() as session:
            after_end = apps.behaviour(apps.get(session, appid)).query_after_end == "record"
            recording = _running(session, appid, mode, resource_id, sid, also_ended=after_end)
            if recording.wanted_cause == STOP_CALLED and not after_end:
                raise ServiceExiting("stop was called; the record tells how far it is")
            return views.queried(recording, files.of(session, sid))

    def update(self, appid: str, mode: Mode, resource_id: str, sid: str, order: orders.Update) -> Changed:
        """Whom it subscribes to, and the keys of its store."""

        def change(
            spec: RecordingSpec, secrets: Secrets, terms: rules.AppTerms
        ) -> tuple[RecordingSpec, Secrets, list[str]]:
            return rules.respecified(spec, secrets, order, terms)

        return self._respec(appid, mode, resource_id, sid, order, change)

    def update_layout(self, appid: str, mode: Mode, resource_id: str, sid: str, order: orders.UpdateLayout) -> Changed:
        """The whole layout is replaced."""
        if mode is not Mode.MIX:
            raise BadParameter(f"updateLayout: mode {mode.value} has no layout")

        def change(
            spec: RecordingSpec, secrets: Secrets, _: rules.AppTerms
        ) -> tuple[RecordingSpec, Secrets, list[str]]:
            warnings = list(order.warnings)
            try:
                layout = rules.layout_of(order.layout, "clientRequest", warnings)
            except BadParameter as error:
                raise BadLayout(error.text) from error
            return spec.model_copy(update={"layout": layout}), secrets, warnings

        return self._respec(appid, mode, resource_id, sid, order, change)

    @contextmanager
    def _told_of_misfits(self, sid: str) -> Iterator[None]:
        """A call that does not fit the recording's state is told to the app's receiver, too (contract §7, event 3)."""
        try:
            yield
        except (InvalidOperation, ServiceExiting):
            with self.database.unit() as session:
                recording = recordings.get(session, sid)
                if recording is not None:
                    said = {
                        "status": recording.status,
                        "recordingMode": events.RECORDING_MODES[Mode(recording.mode)],
                        "fileList": views.playlist_name(recording),
                    }
                    notices.say(session, sid, Event.STATUS_UPDATE, **said)
            raise

    def _respec(
        self, appid: str, mode: Mode, resource_id: str, sid: str, order: orders.Change, change: SpecChange
    ) -> Changed:
        with self._told_of_misfits(sid), self.database.unit() as session:
            _same(_running(session, appid, mode, resource_id, sid), order.cname, order.uid)
            recording = recordings.lock(session, sid)  # so that two updates do not undo each other
            if recording is None or ended(recording.status):
                raise WorkerNotFound
            if _is_ending(recording):
                raise ServiceExiting(f"the recording is ending: {recording.wanted_cause or recording.reason}")
            before = RecordingSpec.model_validate(recording.spec), Secrets.model_validate(recording.secrets or {})
            spec, kept, warnings = change(*before, _terms(apps.get(session, appid)))
            if (spec, kept) != before:
                recordings.respec(session, sid, spec, kept)
            for text in warnings:
                recordings.warn(session, sid, text)
            answer = Changed(views.identity(recording), tuple(warnings))
        self.broker.nudge(sid)
        return answer

    def hold(self, appid: str, mode: Mode, resource_id: str, sid: str, order: orders.Change) -> dict[str, Any]:
        return self._not_built("hold", appid, mode, resource_id, sid, order)

    def cancel(self, appid: str, mode: Mode, resource_id: str, sid: str, order: orders.Change) -> dict[str, Any]:
        return self._not_built("cancel", appid, mode, resource_id, sid, order)

    def _not_built(
        self, verb: str, appid: str, mode: Mode, resource_id: str, sid: str, order: orders.Change
    ) -> dict[str, Any]:
        with self.database.unit() as session:
            _same(_running(session, appid, mode, resource_id, sid), order.cname, order.uid)
        raise NotBuiltYet(f"{verb}: this farm does not change a running recording yet")

    def records(self, appid: str, *, limit: int = 50, before: str = "", live: bool | None = None) -> dict[str, Any]:
        """One page of an app's recordings, newest first; `before` is the sid that ended the page before."""
        if not 1 <= limit <= MAX_PAGE:
            raise BadParameter(f"limit must be from 1 to {MAX_PAGE}")
        with self.database.unit() as session:
            apps.get(session, appid)
            last = recordings.get(session, before) if before else None
            if before and (last is None or last.appid != appid):
                raise BadParameter("before names no recording of this app")
            after = None if last is None else (last.created_ms, last.sid)
            found = recordings.for_app(session, appid, limit=limit + 1, before=after, live=live)
            page = found[:limit]
            following = page[-1].sid if len(found) > limit else None
            return {"recordings": [views.summary(recording) for recording in page], "next": following}

    def record(self, appid: str, sid: str) -> dict[str, Any]:
        """The full truth about a recording, also after its end."""
        with self.database.unit() as session:
            recording = recordings.get(session, sid)
            if recording is None or recording.appid != appid:
                raise WorkerNotFound("there is no recording of that sid on record")
            segments, holes = timeline.rows(session, sid, views.MIX)
            return views.record(
                recording,
                segments=segments,
                holes=holes,
                files=files.of(session, sid),
                tenures=tenures.of(session, sid),
                notices=notices.of(session, sid),
            )

    # -- publishing ---------------------------------------------------------------------------------------------

    def mint_publisher(self, appid: str, cname: str, uid: str, ttl_s: int) -> publishing.Ticket:
        return publishing.mint(self.database, self._keys(), appid, cname, uid, ttl_s)

    def publish(self, appid: str, cname: str, uid: str, token: str) -> str:
        """Where a publisher with this token is to go: the address at the ingest that holds the room."""
        return publishing.admit(self.database, self._keys(), appid, cname, uid, token)

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


def _terms(app: App) -> rules.AppTerms:
    return rules.AppTerms(
        appid=app.appid,
        channel=app.channel,
        slice_s=app.slice_s,
        store=apps.store_of(app),
        store_keys=apps.store_keys_of(app),
        redundancy=apps.behaviour(app).redundancy,
    )


def _resource(session: Session, app: App, resource_id: str, cname: str, uid: str) -> Resource:
    resource = resources.get(session, resource_id)
    if resource is None:
        raise ResourceUnreadable
    if resource.appid != app.appid:
        raise ResourceMismatch("the resourceId belongs to another app")
    for name, asked, acquired in (("cname", cname, resource.cname), ("uid", uid, resource.uid)):
        if asked != acquired:
            raise ResourceMismatch(f"{name} is not the one that acquire was called with")
    return resource


def _nodes_of(session: Session, app: App, resource_ids: Sequence[str]) -> set[str]:
    """Where the recordings of these resources run: important channels are recorded twice, apart from each other."""
    found = set()
    for resource_id in resource_ids:
        other = resources.get(session, resource_id)
        if other is not None and other.appid == app.appid and other.sid is not None:
            found |= {t.node for t in tenures.of(session, other.sid) if t.state is not TenureState.ENDED}
    return found


def _running(
    session: Session, appid: str, mode: Mode, resource_id: str, sid: str, *, also_ended: bool = False
) -> Recording:
    recording = recordings.get(session, sid)
    if recording is None or recording.appid != appid:
        raise WorkerNotFound
    if recording.resource_id != resource_id:
        raise SidMismatch
    if recording.mode != mode.value:
        raise BadParameter(f"mode: this recording was started in mode {recording.mode}")
    _check_time(session, recording)
    if ended(recording.status) and not also_ended:
        happened = faults.what_happened(
            status=recording.status, reason=recording.reason, fault=recording.fault, ended_ms=recording.ended_ms
        )
        raise WorkerNotFound(f"{happened}; its record is at /v1/apps/{appid}/recordings/{sid}")
    return recording


def _check_time(session: Session, recording: Recording) -> None:
    """resourceExpiredHour ends the contract's calls, not the recording."""
    resource = resources.get(session, recording.resource_id)
    hours = int(resource.options.get("resourceExpiredHour", 72)) if resource is not None else 72
    if now_ms(session) > recording.created_ms + hours * HOUR_MS:
        own = f"/v1/apps/{recording.appid}/recordings/{recording.sid}"
        raise ResourceExpired(f"resourceExpiredHour ({hours}) is over; {own} and {own}/stop still answer")


def _is_ending(recording: Recording) -> bool:
    return recording.wanted in (Wanted.STOP, Wanted.CANCEL) or recording.status >= Status.STOPPING


def _same(recording: Recording, cname: str, uid: str) -> None:
    if (recording.cname, recording.uid) != (cname, uid):
        raise ResourceMismatch("cname and uid are not those of the recording")


__all__ = ["Acquired", "Begun", "Glance", "Service", "UnknownApp"]
