"""Every state machine of the farm, as data: a set of pairs, each with its cause. Terminal states are derived."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final, TypeVar

S = TypeVar("S", bound="StrEnum | IntEnum")


class Status(IntEnum):
    """`serverResponse.status` of the contract (§2)."""

    NOT_STARTED = 0
    INITIALISED = 1  # a worker has claimed it
    STARTING = 2  # its parts are coming up
    SOME_READY = 3  # the channel is joined or the store has answered
    READY = 4  # joined and every part ready, whether or not anybody publishes
    IN_PROGRESS = 5  # the store has acknowledged a first file
    STOPPING = 6  # stop, idle, kicked, limit: capture has ended
    STOPPED = 7  # its parts are down, files still go up
    EXITED = 8  # all is done
    FAILED = 20  # ended abnormally; `fault` says why


STATUS: Final = frozenset(
    (a, b)
    for a in (0, 1, 2, 3, 4, 5)
    for b in (1, 2, 3, 4, 5)
    if a < b  # parts come up, in any steps
) | frozenset(
    {
        *((s, 6) for s in range(6)),  # stop, idle, kicked, token over, limit reached
        (6, 7),  # the recorder has left
        (6, 8),  # nothing was recorded: nothing to upload
        (7, 8),  # last file proven, playlist ended
        *((s, 20) for s in range(8)),  # a fault that no other worker can mend
    }
)


class Wanted(StrEnum):
    """What the caller wants of a recording; workers reconcile themselves to it."""

    RUN = "run"
    HOLD = "hold"
    STOP = "stop"
    CANCEL = "cancel"


WANTED: Final = frozenset(
    {
        (Wanted.RUN, Wanted.HOLD),  # update {"onhold": true}
        (Wanted.HOLD, Wanted.RUN),  # update {"onhold": false}
        (Wanted.RUN, Wanted.STOP),  # stop called, or the recorder left by itself
        (Wanted.HOLD, Wanted.STOP),
        (Wanted.RUN, Wanted.CANCEL),  # end capture and upload
        (Wanted.HOLD, Wanted.CANCEL),
        (Wanted.STOP, Wanted.CANCEL),
    }
)


class TenureState(StrEnum):
    RESERVED = "reserved"  # placed on a node; its message is not sent yet
    DISPATCHED = "dispatched"  # message sent; to be claimed before its deadline
    WARMING = "warming"  # claimed; joins, warms up its encoders
    LIVE = "live"  # makes the recording
    DRAINING = "draining"  # to stop at an agreed slot's edge
    ENDED = "ended"


TENURE: Final = frozenset(
    {
        (TenureState.RESERVED, TenureState.DISPATCHED),  # COMMIT, then enqueue
        (TenureState.DISPATCHED, TenureState.WARMING),  # claimed by compare-and-set on (sid, epoch)
        (TenureState.WARMING, TenureState.LIVE),  # its recorder is ready
        (TenureState.LIVE, TenureState.DRAINING),  # its node drains, or a successor takes over
        (TenureState.DRAINING, TenureState.LIVE),  # the successor died before the edge
        (TenureState.RESERVED, TenureState.ENDED),  # deadline passed, or not wanted any more
        (TenureState.DISPATCHED, TenureState.ENDED),  # nobody claimed it in time
        (TenureState.WARMING, TenureState.ENDED),  # lease lost, fault, or finished
        (TenureState.LIVE, TenureState.ENDED),  # lease lost, fault, or finished
        (TenureState.DRAINING, TenureState.ENDED),  # handed over, or lease lost
    }
)


class Role(StrEnum):
    PRIMARY = "primary"
    SUCCESSOR = "successor"
    STANDBY = "standby"
    FINALISER = "finaliser"  # captures nothing; ends a recording that nobody holds any more


class HoleState(StrEnum):
    OWED = "owed"  # somebody may still fill it; the live playlist stops before it
    LOST = "lost"  # nobody can any more
    PAUSED = "paused"  # on hold: nothing was to be recorded
    FILLED = "filled"  # history: a late segment carved it away


HOLE: Final = frozenset(
    {
        (HoleState.OWED, HoleState.LOST),  # every tenure that could fill it is dead and the grace is over
        (HoleState.OWED, HoleState.FILLED),  # a segment covers it
        (HoleState.LOST, HoleState.FILLED),  # a spool that nobody hoped for came back
    }
)


class SegmentState(StrEnum):
    RESERVED = "reserved"  # has its place in the timeline; not proven in any store
    STORED = "stored"  # acknowledged by a store, checksum proven


SEGMENT: Final = frozenset({(SegmentState.RESERVED, SegmentState.STORED)})


class NoticeState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


NOTICE: Final = frozenset(
    {
        (NoticeState.PENDING, NoticeState.DELIVERED),  # receiver answered 200
        (NoticeState.PENDING, NoticeState.GIVEN_UP),  # hours of retries are over
        (NoticeState.GIVEN_UP, NoticeState.PENDING),  # replayed by API
        (NoticeState.DELIVERED, NoticeState.PENDING),  # replayed by API
    }
)


class JobState(StrEnum):
    """A supervised job: "keep this channel recorded, so, until I say stop"."""

    WAITING = "waiting"  # not before its time
    STARTING = "starting"  # acquire and start, until one start succeeds
    CONFIRMING = "confirming"  # a sid is there; status 4 or 5 is not seen yet
    RUNNING = "running"  # status 4 or 5 was seen; asked for periodically
    DOUBTED = "doubted"  # a query said 404, 50x or that it is ending: asked again before anything is done
    CLEARING = "clearing"  # an attempt that did not come up is stopped before the next one
    STOPPING = "stopping"  # the job is to end: whatever may still record is stopped
    DONE = "done"  # ended as it was wanted; `cause` names how
    FAILED = "failed"  # ended otherwise; `cause` names why


JOB: Final = frozenset(
    {
        (JobState.WAITING, JobState.STARTING),  # its time has come
        (JobState.WAITING, JobState.DONE),  # stopped before its time
        (JobState.WAITING, JobState.FAILED),  # nothing looked at it until its deadline
        (JobState.STARTING, JobState.CONFIRMING),  # start answered 200 or 201
        (JobState.STARTING, JobState.CLEARING),  # start never finished, but told a sid
        (JobState.STARTING, JobState.STOPPING),  # to end while an attempt may record
        (JobState.STARTING, JobState.DONE),  # to end, and nothing records
        (JobState.STARTING, JobState.FAILED),  # refused, or rounds or time used up
        (JobState.CONFIRMING, JobState.RUNNING),  # status 4 or 5
        (JobState.CONFIRMING, JobState.DOUBTED),  # 404 or 50x
        (JobState.CONFIRMING, JobState.CLEARING),  # neither within 90 s
        (JobState.CONFIRMING, JobState.STOPPING),  # to end
        (JobState.RUNNING, JobState.DOUBTED),  # 404, 50x, or it is ending by itself
        (JobState.RUNNING, JobState.STOPPING),  # to end
        (JobState.DOUBTED, JobState.CONFIRMING),  # it answers again, before it ever was confirmed
        (JobState.DOUBTED, JobState.RUNNING),  # it answers again
        (JobState.DOUBTED, JobState.CLEARING),  # it answers again, too late to be confirmed
        (JobState.DOUBTED, JobState.STARTING),  # it died: the other UID
        (JobState.DOUBTED, JobState.STOPPING),  # to end
        (JobState.DOUBTED, JobState.DONE),  # it ended by maxIdleTime or by somebody's stop
        (JobState.DOUBTED, JobState.FAILED),  # it died, and rounds are used up
        (JobState.CLEARING, JobState.STARTING),  # cleared: the other UID
        (JobState.CLEARING, JobState.STOPPING),  # to end
        (JobState.CLEARING, JobState.DONE),  # cleared, and to end
        (JobState.CLEARING, JobState.FAILED),  # cleared, and rounds are used up
        (JobState.STOPPING, JobState.DONE),  # nothing records any more
        (JobState.STOPPING, JobState.FAILED),  # likewise, but the end was no wanted one; or the stop is not proven
    }
)


def terminal(machine: frozenset[tuple[S, S]]) -> frozenset[S]:
    """States that nothing leaves."""
    return frozenset(b for _, b in machine) - frozenset(a for a, _ in machine)


def ended(status: int) -> bool:
    """Whether a recording is over: exited or failed."""
    return status in (Status.EXITED, Status.FAILED)
