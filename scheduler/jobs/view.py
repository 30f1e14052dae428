"""A job as the ladder sees it: what was ordered, where it stands, what was tried, and what an endpoint just answered. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from models.vocabulary.states import JOB, JobState, terminal

TERMINAL = terminal(JOB)


class Verb(StrEnum):
    """The next call."""

    NONE = "none"
    ACQUIRE = "acquire"
    START = "start"
    QUERY = "query"
    STOP = "stop"
    RECORD = "record"  # Reelyard's own: the full record, kept after the end; other services do not have it


class Cause(StrEnum):
    """Why a job ended. One of these, always."""

    STOPPED = "stop_called"
    UNTIL = "until_reached"
    LENGTH = "length_reached"
    IDLE = "idle"  # its recording ended by maxIdleTime
    ENDED = "ended_elsewhere"  # its recording was ended by somebody: a stop that is not the job's, a closed channel
    REFUSED = "refused"  # acquire or start answered 40x
    QUERY_REFUSED = "query_refused"  # query kept answering 40x
    ROUNDS = "rounds_used_up"
    NOT_STARTED = "not_started_in_time"
    DEADLINE = "deadline_passed"
    UNANSWERED = (
        "start_unanswered"  # to end, and a start that was sent was never answered: it may record until it is idle
    )
    UNSTOPPED = "stop_not_confirmed"  # to end, and no answer proves that the recording did


class Kind(StrEnum):
    WOKEN = "woken"  # no call: its time has come, or what is wanted has changed
    ANSWER = "answer"  # HTTP, whatever the status
    LOST = "lost"  # no answer: not connected, reset, too late, not understood


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    kind: Kind = Kind.ANSWER
    http: int = 0
    code: int = 0  # the contract's, from the body
    reason: str = ""
    resource_id: str = field(default="", repr=False)
    sid: str = ""
    status: int | None = None  # serverResponse.status, or the record's
    files: tuple[str, ...] = ()

    def in_words(self) -> str:
        if self.kind is Kind.LOST:
            return self.reason or "no answer"
        code = f"/{self.code}" if self.code else ""
        return f"{self.http}{code} {self.reason}".strip()


WOKEN = Outcome(kind=Kind.WOKEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One acquire and what came of it. A resourceId starts one recording at most, so an attempt is one recording at most."""

    uid: str
    begun_ms: int
    resource_id: str = field(default="", repr=False)
    sid: str = ""
    sid_ms: int | None = None  # start succeeded
    confirmed_ms: int | None = None  # status 4 or 5
    missed_ms: int | None = None  # the first 404 of those that were confirmed
    status: int = 0  # the last that was seen
    files: tuple[str, ...] = ()
    sent: bool = False  # a start was sent: from here on it may record
    resumed: bool = False  # taken up again: an earlier start on this resource was never answered
    told: bool = False  # a stop was accepted
    over_ms: int | None = None  # proven: it does not record (any more)
    ending: str = (
        ""  # how it ended, in words; not over and yet here: its end could not be proven, and is not tried any more
    )

    @property
    def may_record(self) -> bool:
        return self.sent and self.over_ms is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What was ordered, as far as the ladder needs it."""

    cname: str
    mode: str
    uids: tuple[str, ...]  # the main one, then its spares
    max_idle_ms: int
    file_prefix: str  # "" or ends with "/"
    domains: int  # how many base URLs
    farm: bool  # the endpoint is this farm: it has records
    not_before_ms: int
    until_ms: int | None
    for_ms: int | None
    start_within_ms: int
    max_rounds: int
    deadline_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    terms: Terms
    state: JobState = JobState.WAITING
    verb: Verb = Verb.NONE
    call_ms: int = 0  # not before: the table's wait
    tries: int = 0  # failures in a row on this rung
    lost: int = 0  # calls in a row without any answer
    domain: int = 0  # which base URL
    doubt: str = ""  # missing | unknown | ending | refused
    rounds: int = 0  # acquires since a recording was last confirmed
    trouble_ms: int = 0  # since when there is no confirmed recording
    attempts: tuple[Attempt, ...] = ()
    current: int = -1  # index of the attempt that the verb is about
    first_sid_ms: int | None = None
    stop_wanted: bool = False
    stopping_ms: int | None = None
    ends: JobState | None = None  # while stopping: how the job is to end
    cause: Cause | None = None
    reason: str = ""

    @property
    def over(self) -> bool:
        return self.state in TERMINAL

    @property
    def attempt(self) -> Attempt:
        return self.attempts[self.current]

    def now_about(self, **changes: object) -> JobView:
        """With changes to the current attempt."""
        changed = replace(self.attempt, **changes)  # type: ignore[arg-type] # dataclasses.replace has no better type
        attempts = (*self.attempts[: self.current], changed, *self.attempts[self.current + 1 :])
        return replace(self, attempts=attempts)
