"""What is wanted of a running recording: that it stop, or change. Each call writes the wish and nudges; workers fulfil it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from models.database import Database
from models.repositories import apps, notices, recordings
from models.tables import App
from models.vocabulary import events
from models.vocabulary.errors import (
    BadLayout,
    BadParameter,
    InvalidOperation,
    ServiceExiting,
    WorkerNotFound,
)
from models.vocabulary.events import Event
from models.vocabulary.spec import Mode, RecordingSpec, Secrets
from models.vocabulary.states import Status, Wanted, ended
from scheduler import lookup, orders, picture, rules, views
from scheduler.broker import Broker
from scheduler.records import STOP_CALLED, Records


@dataclass(frozen=True, slots=True)
class Changed:
    """The answer of an update."""

    body: dict[str, str]
    warnings: tuple[str, ...] = ()


ON_HOLD: Final = "on hold"
CANCEL_CALLED: Final = "cancel called"

SpecChange = Callable[[RecordingSpec, Secrets, rules.AppTerms], tuple[RecordingSpec, Secrets, list[str]]]


class Wishes(Records):
    def __init__(self, database: Database, broker: Broker) -> None:
        super().__init__(database)
        self.broker = broker

    def begin_stop(self, appid: str, mode: Mode, resource_id: str, sid: str, order: orders.Stop) -> None:
        """Want it to end. Raises `InvalidOperation` when it is ending already, `WorkerNotFound` when it has ended."""
        with self._told_of_misfits(sid), self.database.unit() as session:
            recording = lookup.running(session, appid, mode, resource_id, sid)
            lookup.check_same(recording, order.cname, order.uid)
            if recording.status >= Status.STOPPING or not recordings.want(session, sid, Wanted.STOP, STOP_CALLED):
                raise InvalidOperation(f"the recording is already ending: {recording.wanted_cause or recording.reason}")
            for text in order.warnings:
                recordings.warn(session, sid, text)
        self.broker.nudge(sid)

    def stop_own(self, appid: str, sid: str) -> dict[str, Any]:
        """Stop by sid alone, also when resourceExpiredHour is over. Stopping twice is like stopping once."""
        return self._end_own(appid, sid, Wanted.STOP, STOP_CALLED)

    def cancel(self, appid: str, sid: str) -> dict[str, Any]:
        """End capture and upload: what is in the store stays and is listed, all else is thrown away. Also after a stop,
        as long as it has not ended; cancelling twice is like cancelling once.
        """
        return self._end_own(appid, sid, Wanted.CANCEL, CANCEL_CALLED)

    def _end_own(self, appid: str, sid: str, wanted: Wanted, cause: str) -> dict[str, Any]:
        with self.database.unit() as session:
            recording = recordings.get(session, sid)
            if recording is None or recording.appid != appid:
                raise WorkerNotFound("there is no recording of that sid on record")
            if not ended(recording.status):
                recordings.want(session, sid, wanted, cause)
        self.broker.nudge(sid)
        return self.record(appid, sid)

    def update(self, appid: str, mode: Mode, resource_id: str, sid: str, order: orders.Update) -> Changed:
        """Whom it subscribes to, the keys of its store, and whether it is on hold."""

        def change(
            spec: RecordingSpec, secrets: Secrets, terms: rules.AppTerms
        ) -> tuple[RecordingSpec, Secrets, list[str]]:
            return rules.respecified(spec, secrets, order, terms)

        return self._respec(appid, mode, resource_id, sid, order, change, on_hold=order.on_hold)

    def hold(
        self, appid: str, mode: Mode, resource_id: str, sid: str, order: orders.Change, *, on: bool = True
    ) -> Changed:
        """Record nothing from the next slot's edge on, or record again. Told twice is told once."""
        return self.update(appid, mode, resource_id, sid, orders.Update(cname=order.cname, uid=order.uid, on_hold=on))

    def update_layout(self, appid: str, mode: Mode, resource_id: str, sid: str, order: orders.UpdateLayout) -> Changed:
        """The whole layout is replaced."""
        if mode is not Mode.MIX:
            raise BadParameter(f"updateLayout: mode {mode.value} has no layout")

        def change(
            spec: RecordingSpec, secrets: Secrets, _: rules.AppTerms
        ) -> tuple[RecordingSpec, Secrets, list[str]]:
            warnings = list(order.warnings)
            try:
                layout = picture.layout_of(order.layout, "clientRequest", spec.video, warnings)
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
        self,
        appid: str,
        mode: Mode,
        resource_id: str,
        sid: str,
        order: orders.Change,
        change: SpecChange,
        *,
        on_hold: bool | None = None,
    ) -> Changed:
        with self._told_of_misfits(sid), self.database.unit() as session:
            lookup.check_same(lookup.running(session, appid, mode, resource_id, sid), order.cname, order.uid)
            recording = recordings.lock(session, sid)  # so that two updates do not undo each other
            if recording is None or ended(recording.status):
                raise WorkerNotFound
            if lookup.is_ending(recording):
                raise ServiceExiting(f"the recording is ending: {recording.wanted_cause or recording.reason}")
            before = RecordingSpec.model_validate(recording.spec), Secrets.model_validate(recording.secrets or {})
            spec, kept, warnings = change(*before, terms_of(apps.get(session, appid)))
            if (spec, kept) != before:
                recordings.respec(session, sid, spec, kept)
            if on_hold is not None:
                recordings.want(session, sid, Wanted.HOLD if on_hold else Wanted.RUN, ON_HOLD if on_hold else "")
            for text in warnings:
                recordings.warn(session, sid, text)
            answer = Changed(views.identity(recording), tuple(warnings))
        self.broker.nudge(sid)
        return answer


def terms_of(app: App) -> rules.AppTerms:
    return rules.AppTerms(
        appid=app.appid,
        channel=app.channel,
        slice_s=app.slice_s,
        store=apps.store_of(app),
        store_keys=apps.store_keys_of(app),
        redundancy=apps.behaviour(app).redundancy,
    )
