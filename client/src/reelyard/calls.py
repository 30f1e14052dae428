"""The verbs, each as a `Flow`: what is asked, how it is repeated, what the answer means. Both clients speak through these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from reelyard import answers, ladder
from reelyard import files as file_answers
from reelyard import jobs as job_answers
from reelyard.answers import (
    PulledUser,
    Recording,
    RecordingPage,
    RecordingRecord,
    RecordingState,
    Resource,
    Stopped,
    Uploading,
    WhipToken,
)
from reelyard.errors import InvalidOperation, NotFound
from reelyard.exchange import Exchange, Flow
from reelyard.files import FilePage, Link, RecordingFiles
from reelyard.jobs import Credentials, Job, JobPage
from reelyard.requests import AcquireRequest, Json, Layout, Mode, StartRequest, UpdateRequest, to_wire

_NOTHING: Final[Json] = {}


class Calls:
    def __init__(self, exchange: Exchange, appid: str) -> None:
        self._exchange = exchange
        self._app = f"/v1/apps/{_segment(appid, 'appid')}"

    def acquire(self, cname: str, uid: str, request: AcquireRequest | Json = _NOTHING) -> Flow[Resource]:
        """The right to start one recording of the channel `cname`; the recorder joins as `uid`, digits in a string."""
        path = f"{self._app}/cloud_recording/acquire"
        answer = yield from self._exchange.ask("POST", path, ladder.COMMAND, _body(cname, uid, request))
        return answers.resource(answer.body, cname, uid, answer.warnings)

    def start(
        self, resource: Resource, request: StartRequest | Json, *, mode: Mode | str = Mode.MIX
    ) -> Flow[Recording]:
        """Start recording. Repeated with the same resource it is still one recording, so it is repeated freely."""
        mode = Mode(mode)
        path = self._path(resource.resource_id, mode, "start")
        body = _body(resource.cname, resource.uid, request)
        answer = yield from self._exchange.ask("POST", path, ladder.COMMAND, body)
        again = answer.http == 201
        return answers.recording(answer.body, resource, mode, already_started=again, warnings=answer.warnings)

    def query(self, recording: Recording) -> Flow[RecordingState]:
        """How it stands. Raises `NotFound` at once when it runs no more."""
        answer = yield from self._exchange.ask("GET", self._of(recording, "query"), ladder.QUERY)
        return answers.state(answer.body, recording)

    def update(self, recording: Recording, request: UpdateRequest | Json) -> Flow[None]:
        """Change subscriptions, hold a page, renew the store's keys. Send the next one after this one's answer."""
        body = _body(recording.cname, recording.uid, request)
        yield from self._exchange.ask("POST", self._of(recording, "update"), ladder.COMMAND, body)

    def update_layout(self, recording: Recording, layout: Layout | Json) -> Flow[None]:
        """Replace the whole layout: what is left out returns to its default."""
        body = _body(recording.cname, recording.uid, layout)
        yield from self._exchange.ask("POST", self._of(recording, "updateLayout"), ladder.COMMAND, body)

    def hold(self, recording: Recording) -> Flow[None]:
        """Pause a mixed recording at the next slice's edge; the recorder stays in the channel. Twice is once. Reelyard's own."""
        yield from self.update(recording, {"onhold": True})

    def resume(self, recording: Recording) -> Flow[None]:
        """Go on at the next slice's edge. Twice is once. Reelyard's own."""
        yield from self.update(recording, {"onhold": False})

    def stop(self, recording: Recording, *, wait: bool = True) -> Flow[Stopped]:
        """End it, and wait until its files are uploaded (the service waits some 20 s) or, with `wait=False`, do not.

        Raises `NotCompleted` when the files take longer, `NoRecordedData` when there is none. When the first answer got
        lost and the second says that it is ending already, that is a success: without files, uploading UNKNOWN.
        """
        body = _body(recording.cname, recording.uid, {"async_stop": not wait})
        try:
            answer = yield from self._exchange.ask("POST", self._of(recording, "stop"), ladder.STOP, body)
        except InvalidOperation as error:
            if not error.repeated:
                raise
            return Stopped(recording, (), Uploading.UNKNOWN, (), {})
        return answers.stopped(answer.body, recording)

    def recordings(self, *, limit: int = 50, before: str = "", live: bool | None = None) -> Flow[RecordingPage]:
        """The app's recordings, newest first. `live`: only those that run, or only those that have ended."""
        path = f"{self._app}/recordings?{_paging(limit, before, live)}"
        answer = yield from self._exchange.ask("GET", path, ladder.COMMAND)
        return answers.page(answer.body)

    def recording(self, sid: str) -> Flow[RecordingRecord]:
        """Everything about one recording, also after its end."""
        answer = yield from self._exchange.ask("GET", f"{self._app}/recordings/{_segment(sid, 'sid')}", ladder.COMMAND)
        return answers.record(answer.body)

    def cancel(self, sid: str) -> Flow[RecordingRecord]:
        """End a recording and its uploads: what is in the store stays and is listed. Answers at once; twice is once.
        Reelyard's own. Raises `NotFound`.
        """
        answer = yield from self._exchange.ask(
            "POST", f"{self._app}/recordings/{_segment(sid, 'sid')}/cancel", ladder.COMMAND
        )
        return answers.record(answer.body)

    def files(
        self,
        *,
        cname: str = "",
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = 50,
        before: str = "",
    ) -> Flow[FilePage]:
        """Recordings with their files, newest first: of a channel, started in [`from_ms`, `to_ms`) (Unix)."""
        asked = {"cname": cname, "from_ms": from_ms, "to_ms": to_ms, "limit": limit, "before": before}
        query = urlencode({name: value for name, value in asked.items() if value not in ("", None)})
        answer = yield from self._exchange.ask("GET", f"{self._app}/files?{query}", ladder.COMMAND)
        return file_answers.page(answer.body)

    def recording_files(self, sid: str, *, after: str = "", limit: int = 1_000) -> Flow[RecordingFiles]:
        """One recording's files and a page of its segments, also while it records."""
        query = urlencode({"limit": limit} | ({"after": after} if after else {}))
        path = f"{self._app}/recordings/{_segment(sid, 'sid')}/files?{query}"
        answer = yield from self._exchange.ask("GET", path, ladder.COMMAND)
        return file_answers.listed(answer.body)

    def link(self, sid: str, *, for_s: int = 3_600) -> Flow[Link]:
        """For a player: paths of this recording's playlist and MP4s that need no key for so long, a week at most."""
        path = f"{self._app}/recordings/{_segment(sid, 'sid')}/link?{urlencode({'for_s': for_s})}"
        answer = yield from self._exchange.ask("GET", path, ladder.COMMAND)
        return file_answers.link(answer.body)

    def delete_files(self, sid: str, name: str = "") -> Flow[RecordingFiles]:
        """Delete an ended recording's files in the operator's own store, or one MP4 of them. They go soon; twice is once."""
        one = f"/{_segment(name, 'name')}" if name else ""
        path = f"{self._app}/recordings/{_segment(sid, 'sid')}/files{one}"
        answer = yield from self._exchange.ask("DELETE", path, ladder.COMMAND)
        return file_answers.listed(answer.body)

    def whip_token(self, cname: str, uid: str, *, ttl_s: int | None = None) -> Flow[WhipToken]:
        """A token with which `uid` may publish into the channel by WHIP; `ttl_s` up to a day, an hour if not given."""
        body = {"cname": cname, "uid": uid} | ({} if ttl_s is None else {"ttl_s": ttl_s})
        answer = yield from self._exchange.ask("POST", f"{self._app}/whip-tokens", ladder.COMMAND, body)
        return answers.whip_token(answer.body)

    def pull(self, cname: str, uid: str, url: str) -> Flow[PulledUser]:
        """Add a user that is a URL (RTMP, RTSP, HLS, a file) to a `pull:` channel, or give him another one; also while it is
        being recorded. Twice is once.
        """
        answer = yield from self._exchange.ask("PUT", self._pulled(cname, uid), ladder.COMMAND, {"url": url})
        return answers.pulled_user(answer.body)

    def pulled(self, cname: str) -> Flow[tuple[PulledUser, ...]]:
        """The channel's users that are URLs."""
        answer = yield from self._exchange.ask("GET", self._pulled(cname), ladder.COMMAND)
        return answers.pulled_users(answer.body)

    def unpull(self, cname: str, uid: str) -> Flow[None]:
        """Remove such a user. Raises `NotFound` when there was none."""
        try:
            yield from self._exchange.ask("DELETE", self._pulled(cname, uid), ladder.COMMAND)
        except NotFound as error:
            if not error.repeated:
                raise

    def submit_job(
        self,
        key: str,
        cname: str,
        uids: Sequence[str] = (),
        *,
        start: StartRequest | Json,
        acquire: AcquireRequest | Json = _NOTHING,
        mode: Mode | str = Mode.MIX,
        not_before_ms: int | None = None,
        until_ms: int | None = None,
        for_s: int | None = None,
        start_within_s: int | None = None,
        max_rounds: int | None = None,
        endpoints: Sequence[str] = (),
        remote_appid: str = "",
        credentials: Credentials | None = None,
    ) -> Flow[Job]:
        """Keep the channel recorded until `stop_job`, `until_ms` (Unix) or, from its first sid, for `for_s`.

        `key` is your own name for it, one job each: submitting it again answers with the job that is there.
        `uids`: the recorder's, and its spare's. `endpoints` and `credentials`: of another service than this farm.
        """
        body = job_answers.order(
            key, cname, uids, start, acquire, mode, credentials,
            not_before_ms=not_before_ms, until_ms=until_ms, for_s=for_s, start_within_s=start_within_s,
            max_rounds=max_rounds, endpoints=tuple(endpoints), remote_appid=remote_appid,
        )  # fmt: skip
        answer = yield from self._exchange.ask("POST", f"{self._app}/jobs", ladder.COMMAND, body)
        return job_answers.job(answer.body, new=answer.http == 201, warnings=answer.warnings)

    def job(self, job_id: str = "", *, key: str = "") -> Flow[Job]:
        """One job by its id or its key: state, sid, files, every attempt. Raises `NotFound`."""
        path = yield from self._job(job_id, key)
        answer = yield from self._exchange.ask("GET", path, ladder.COMMAND)
        return job_answers.job(answer.body)

    def jobs(self, *, limit: int = 50, before: str = "", live: bool | None = None) -> Flow[JobPage]:
        """The app's jobs, newest first. `live`: only those that run, or only those that have ended."""
        answer = yield from self._exchange.ask(
            "GET", f"{self._app}/jobs?{_paging(limit, before, live)}", ladder.COMMAND
        )
        return job_answers.page(answer.body)

    def stop_job(self, job_id: str = "", *, key: str = "") -> Flow[Job]:
        """End a job by its id or its key. Answers at once; it is DONE when nothing records any more. Twice is once."""
        path = yield from self._job(job_id, key)
        answer = yield from self._exchange.ask("POST", f"{path}/stop", ladder.COMMAND)
        return job_answers.job(answer.body)

    def _job(self, job_id: str, key: str) -> Flow[str]:
        """A job's path; of a key, after the service told its id."""
        if bool(job_id) == bool(key):
            raise ValueError("a job has a job_id or a key: give one of them")
        if key:
            answer = yield from self._exchange.ask("GET", f"{self._app}/jobs?{urlencode({'key': key})}", ladder.COMMAND)
            [job_id] = [job.job_id for job in job_answers.page(answer.body).jobs if job.key == key] or [""]
            if not job_id:
                raise NotFound(404, 404, "there is no job of that key")
        return f"{self._app}/jobs/{_segment(job_id, 'job_id')}"

    def _pulled(self, cname: str, uid: str | None = None) -> str:
        one = "" if uid is None else f"/{_segment(uid, 'uid')}"
        return f"{self._app}/channels/{_segment(cname, 'cname')}/users{one}"

    def _of(self, recording: Recording, verb: str) -> str:
        return self._path(recording.resource_id, recording.mode, verb, sid=recording.sid)

    def _path(self, resource_id: str, mode: Mode, verb: str, *, sid: str | None = None) -> str:
        running = "" if sid is None else f"/sid/{_segment(sid, 'sid')}"
        resource = f"/cloud_recording/resourceid/{_segment(resource_id, 'resource_id')}"
        return f"{self._app}{resource}{running}/mode/{Mode(mode).value}/{verb}"


def _body(cname: str, uid: str, request: object) -> Json:
    return {"cname": cname, "uid": uid, "clientRequest": to_wire(request)}


def _paging(limit: int, before: str, live: bool | None) -> str:
    asked: dict[str, Any] = {"limit": limit}
    if before:
        asked["before"] = before
    if live is not None:
        asked["live"] = "true" if live else "false"
    return urlencode(asked)


def _segment(value: str, name: str) -> str:
    """One segment of a path, and no more."""
    if not value or value in (".", ".."):
        raise ValueError(f"{name} is {value!r}" if value else f"{name} is empty")
    return quote(value, safe="")
