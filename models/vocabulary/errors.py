"""The error table: every failure the farm tells anyone about, with the code, whose fault it is, and what to do.

`scope`: CALLER = their request, token or bucket; SESSION = this recording only; NODE = take the node out of service.
Foreign errors (botocore, libav, aiortc, SQL) are translated into one of these at the border of the package that met them.
The docstring of a class is the message a user reads when no text is given.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar


class Scope(StrEnum):
    CALLER = "caller"
    SESSION = "session"
    NODE = "node"


class ReelyardError(Exception):
    """Something failed."""

    #: The contract's code (§2), or ours from 9000 on where the contract has none.
    code: ClassVar[int] = 9000
    http: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    scope: ClassVar[Scope] = Scope.SESSION
    #: The contract's literal `reason`; a longer text is appended behind a colon.
    reason: ClassVar[str] = "internal error"

    def __init__(self, text: str = "") -> None:
        self.text = text or (type(self).__doc__ or "").split("\n", 1)[0]
        super().__init__(self.text)

    def body(self) -> dict[str, Any]:
        """The contract's error body."""
        return {"code": self.code, "reason": f"{self.reason}: {self.text}" if self.text else self.reason}


# -- the request ------------------------------------------------------------------------------------------------


class BadParameter(ReelyardError):
    """A field of the request is missing or wrong."""

    code, http, scope, reason = 2, 400, Scope.CALLER, "bad parameter"


class NotBuiltYet(ReelyardError):
    """Reelyard does not do this yet; the request was valid."""

    code, http, scope, reason = 2, 400, Scope.CALLER, "not supported yet"


class BadBody(ReelyardError):
    """The body is not JSON, or a header or the method is wrong."""

    code, http, scope, reason = 8, 400, Scope.CALLER, "bad request"


class UnknownApp(ReelyardError):
    """No app of this farm has that appid."""

    code, http, scope, reason = 400, 400, Scope.CALLER, "appid is invalid"

    def body(self) -> dict[str, Any]:
        return {"message": self.reason}


class Unauthorized(ReelyardError):
    """The customer key or secret is wrong, or may not use this app."""

    code, http, scope, reason = 401, 401, Scope.CALLER, "Invalid authentication credentials"

    def body(self) -> dict[str, Any]:
        return {"message": self.reason}


class RateLimited(ReelyardError):
    """Too many requests for this app."""

    code, http, scope, retryable, reason = 429, 429, Scope.CALLER, True, "API rate limit exceeded"

    def body(self) -> dict[str, Any]:
        return {"message": self.reason}


class TooManyRecordings(ReelyardError):
    """The app records as many channels at once as it may; stop one, or raise its limit."""

    code, http, retryable, scope, reason = 406, 400, True, Scope.CALLER, "vendor_over_load"


class ChannelNameInvalid(ReelyardError):
    """The channel name has characters or a length that the contract does not allow."""

    code, http, scope, reason = 1013, 400, Scope.CALLER, "channel name invalid"


class ResourceUnreadable(ReelyardError):
    """That resourceId was not issued by this farm."""

    code, http, scope, reason = 1001, 400, Scope.CALLER, "resourceId cannot be decrypted"


class ResourceMismatch(ReelyardError):
    """appid, cname or uid are not those of the resourceId."""

    code, http, scope, reason = 432, 400, Scope.CALLER, "resource mismatch"


class ResourceExpired(ReelyardError):
    """The resourceId is older than five minutes; call acquire again."""

    code, http, scope, reason = 433, 400, Scope.CALLER, "resource expired"


class SidMismatch(ReelyardError):
    """The sid does not belong to this appid or resourceId."""

    code, http, scope, reason = 1003, 400, Scope.CALLER, "sid mismatch"


class TaskConflict(ReelyardError):
    """The same cname and uid are being recorded already."""

    code, http, scope, reason = 53, 400, Scope.CALLER, "task conflict"


class AlreadyStarted(ReelyardError):
    """This resourceId has started a recording; that is a success."""

    code, http, scope, reason = 7, 201, Scope.CALLER, "already started"


class InvalidOperation(ReelyardError):
    """The recording is already ending."""

    code, http, scope, reason = 49, 400, Scope.CALLER, "invalid operation"


class BadLayout(ReelyardError):
    """The body of updateLayout is wrong."""

    code, http, scope, reason = 1028, 400, Scope.CALLER, "bad layout"


class WorkerNotFound(ReelyardError):
    """No recording of that sid is running."""

    code, http, scope, reason = 404, 404, Scope.CALLER, "failed to find worker"


class JobNotFound(ReelyardError):
    """There is no such job of this app."""

    code, http, scope, reason = 404, 404, Scope.CALLER, "job not found"


class NoticeNotFound(ReelyardError):
    """There is no such notice of this app."""

    code, http, scope, reason = 404, 404, Scope.CALLER, "notice not found"


class FileNotFound(ReelyardError):
    """There is no such file of this recording."""

    code, http, scope, reason = 404, 404, Scope.CALLER, "file not found"


class StoreSealed(ReelyardError):
    """Nothing can be fetched from the customer's store: its keys were wiped when the last upload was proven."""

    code, http, scope, reason = 9402, 403, Scope.CALLER, "the store's keys are not known"


class FileInBackup(ReelyardError):
    """The file still lies in the operator's backup store, which cannot be read now; ask again."""

    code, http, retryable, scope, reason = 9403, 503, True, Scope.NODE, "in the backup store"


class UserNotFound(ReelyardError):
    """The channel has no such user."""

    code, http, scope, reason = 404, 404, Scope.CALLER, "user not found"


class KeyNotFound(ReelyardError):
    """There is no such customer key."""

    code, http, scope, reason = 404, 404, Scope.CALLER, "key not found"


class RequestNotCompleted(ReelyardError):
    """The request reached the farm and is being worked on; repeat it unchanged."""

    code, http, retryable, reason = 65, 206, True, "request not completed"


class NoRecordedData(ReelyardError):
    """Nobody published anything, so there is no file."""

    code, http, scope, reason = 435, 206, Scope.CALLER, "no recorded data"


class ServiceExiting(ReelyardError):
    """The recording is on its way out."""

    code, http, reason = 501, 400, "service is exiting"


# -- the farm ---------------------------------------------------------------------------------------------------


class Overloaded(ReelyardError):
    """No node has room for this recording; add a worker or try again."""

    code, http, retryable, scope, reason = 502, 500, True, Scope.NODE, "Failed to allocate worker"


class NoWorkers(ReelyardError):
    """No worker is up; start one."""

    code, http, retryable, scope, reason = 501, 500, True, Scope.NODE, "no_worker_manager_available"


class StateUnavailable(ReelyardError):
    """The database or the broker does not answer."""

    code, http, retryable, scope, reason = 62, 504, True, Scope.NODE, "request timeout"


class StartTimedOut(StateUnavailable):
    """The database or the broker does not answer; the same request may be repeated."""

    http = 500


class AllocateTimedOut(StateUnavailable):
    """The database or the broker does not answer; acquire again."""

    code, http, reason = 504, 500, "allocate_timeout"


class Internal(ReelyardError):
    """The farm failed; its log has the reason under the request's id."""

    code, http, retryable, scope, reason = 500, 500, True, Scope.NODE, "internal_error"


class NameTaken(ReelyardError):
    """Another running worker has this node's name; give each its own REELYARD_NODE_NAME."""

    code, http, retryable, scope, reason = 9400, 409, True, Scope.NODE, "name taken"


# -- the channel ------------------------------------------------------------------------------------------------


class ChannelError(ReelyardError):
    """The channel cannot be joined."""

    code, http, reason = 9100, 400, "channel error"


class ChannelRefused(ChannelError):
    """The channel refused the token or the identity."""

    code, scope = 110, Scope.CALLER


class ChannelTokenExpired(ChannelRefused):
    """The channel's token has run out; start again with a new one."""

    code = 109


class ChannelUnreachable(ChannelError):
    """The channel's server does not answer."""

    code, http, retryable = 9101, 500, True


class ChannelAddressInvalid(ChannelError):
    """The app's channel address is wrong."""

    code, scope = 9102, Scope.CALLER


class StreamUndecodable(ChannelError):
    """A stream cannot be decoded and is left out."""

    code = 9103


# -- the store --------------------------------------------------------------------------------------------------


class StorageError(ReelyardError):
    """A file could not be stored."""

    code, http, retryable, reason = 47, 500, True, "storage error"


class StoreRefused(StorageError):
    """The store refused the keys, the bucket or the region that the request names."""

    code, http, retryable, scope = 32, 400, False, Scope.CALLER


class StoreTokenExpired(StorageError):
    """The temporary token of the store has run out; send a new one by update."""

    code, http, retryable, scope = 32, 400, True, Scope.CALLER


class StoreUnavailable(StorageError):
    """The store does not answer, or asks to wait."""

    code, retryable = 47, True


class StoreCorrupt(StorageError):
    """The store acknowledged other bytes than were sent."""

    code, retryable = 51, True


class AddressRefused(ReelyardError):
    """That address is private, loopback or link-local; name its network in REELYARD_ALLOW_NETWORKS to allow it."""

    code, http, scope, reason = 2, 400, Scope.CALLER, "address refused"


class FetchFailed(ReelyardError):
    """The address does not answer, or not in time."""

    code, http, retryable, scope, reason = 9400, 502, True, Scope.CALLER, "fetch failed"


class FetchRefused(ReelyardError):
    """The address answered with what is not taken: too many bytes, too many redirects, another scheme or coding."""

    code, http, scope, reason = 9401, 400, Scope.CALLER, "fetch refused"


class DiskFull(ReelyardError):
    """The node's spool has no room."""

    code, http, retryable, scope, reason = 9200, 500, True, Scope.NODE, "disk full"


class Poisoned(ReelyardError):
    """Five recorders died within a minute without making a slice."""

    code, http, reason = 9300, 500, "recorder keeps dying"


def table() -> list[type[ReelyardError]]:
    """Every error, for the reference page and its test."""
    found: list[type[ReelyardError]] = []
    queue: list[type[ReelyardError]] = [ReelyardError]
    while queue:
        cls = queue.pop(0)
        found.append(cls)
        queue.extend(cls.__subclasses__())
    return found
