"""The tables. Every shape that later work stands on is here from the first migration."""

from models.tables.backups import Backlog, BackupCopy
from models.tables.base import Base
from models.tables.farm import Leader, Node, PulledUser, RoomPlace
from models.tables.jobs import Job, JobAttempt
from models.tables.notices import Notice, NoticeAttempt
from models.tables.parties import App, CustomerKey, KeyScope
from models.tables.recordings import File, Recording, Resource
from models.tables.tenures import Tenure
from models.tables.timeline import Hole, Segment, Track

__all__ = [
    "App",
    "Backlog",
    "BackupCopy",
    "Base",
    "CustomerKey",
    "File",
    "Hole",
    "Job",
    "JobAttempt",
    "KeyScope",
    "Leader",
    "Node",
    "Notice",
    "NoticeAttempt",
    "PulledUser",
    "Recording",
    "Resource",
    "RoomPlace",
    "Segment",
    "Tenure",
    "Track",
]
