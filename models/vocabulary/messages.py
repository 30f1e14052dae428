"""Celery messages: names, queues, arguments. Arguments are ids only, JSON; the rows they point at are the truth."""

from __future__ import annotations

from typing import Final

#: Of what is said by messages. Within a version arguments are only added, by name, and whoever does not know them passes
#: them over; a message of another version is not acted upon, and its dispatch goes elsewhere when its deadline is over.
VERSION: Final = 1
#: Worker side: "look at (sid, epoch)". Sent to the node's direct queue with task_id `sid.epoch`.
RECORD: Final = "reelyard.record"
#: Scheduler side.
JOB_SUBMIT: Final = "reelyard.jobs.submit"
JOB_STOP: Final = "reelyard.jobs.stop"
CHECK_STEP: Final = "reelyard.checks.step"
CHECK_BATCH: Final = "reelyard.checks.query_batch"

JOBS_QUEUE: Final = "reelyard.jobs"
CHECKS_QUEUE: Final = "reelyard.checks"

#: Redis pub/sub channel on which a bumped generation is nudged; the payload is the sid. One a farm, read by every node.
NUDGE: Final = "reelyard.nudge"


def node_queue(node: str) -> str:
    """The direct queue of a node."""
    return f"reelyard.node.{node}"


def task_id(sid: str, epoch: int) -> str:
    return f"{sid}.{epoch}"
