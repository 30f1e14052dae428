"""What a vendor's refusal means, as an error of ours, in words. Pure.

A vendor's own message is never passed on: SignatureDoesNotMatch quotes the key and the string that was signed.
"""

from __future__ import annotations

from typing import Any, Final

import httpcore
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, ParamValidationError
from botocore.parsers import ResponseParserError

from models.vocabulary.errors import (
    BadParameter,
    FetchFailed,
    ReelyardError,
    StorageError,
    StoreCorrupt,
    StoreRefused,
    StoreTokenExpired,
    StoreUnavailable,
)
from net.connections import distrust

#: Sentences of what will not heal by waiting; {bucket}, {region}, {host}, {verb} are filled in.
REFUSED: Final = {
    "AccessDenied": "accessKey is known but may not {verb} in bucket {bucket}",
    "AllAccessDisabled": "access to bucket {bucket} is switched off",
    "AccountProblem": "the account behind accessKey is suspended",
    "UserDisable": "the account behind accessKey is suspended",
    "InvalidAccessKeyId": "accessKey is not known at {host}",
    "InvalidAccessKey": "accessKey is not known at {host}",
    "SignatureDoesNotMatch": "secretKey does not belong to accessKey",
    "InvalidToken": "stsToken does not belong to accessKey",
    "InvalidSecurityToken": "stsToken does not belong to accessKey",
    "NoSuchBucket": "bucket {bucket} does not exist in region {region} at {host}",
    "InvalidBucketName": "bucket {bucket} is no valid bucket name",
    "AuthorizationHeaderMalformed": "region {region} is wrong: bucket {bucket} is in another one",
    "PermanentRedirect": "region {region} is wrong: bucket {bucket} is in another one",
    "IllegalLocationConstraintException": "region {region} is wrong: bucket {bucket} is in another one",
    "SecondLevelDomainForbidden": "{host} wants the bucket in the host name: the vendor's row needs addressing virtual",
    "InvalidStorageClass": "bucket {bucket} does not take this kind of object",
    "MethodNotAllowed": "{host} does not allow to {verb}",
    "NotImplemented": "{host} does not know how to {verb}",
}
EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "SecurityTokenExpired", "TokenRefreshRequired"})
CORRUPT: Final = frozenset({"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"})
WAIT: Final = frozenset(
    {
        "SlowDown",
        "RequestTimeout",
        "RequestTimeTooSkewed",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "ServiceUnavailable",
        "InternalError",
        "OperationAborted",
        "TemporaryRedirect",
        "QpsLimitExceeded",
    }
)
SKEWED: Final = "RequestTimeTooSkewed"
#: A HEAD's refusal has no body, so botocore gives the status for a code.
BY_STATUS: Final = {301: "PermanentRedirect", 401: "SignatureDoesNotMatch", 403: "AccessDenied"}


def code_of(error: BaseException) -> str:
    """The vendor's code; empty when there is none."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code") or "")


def status_of(error: BaseException) -> int:
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)


def translate(error: Exception, *, verb: str, bucket: str, region: str, host: str) -> ReelyardError:
    """`verb` is what was tried, as in "may not <verb> in bucket": write, read, list, delete."""
    if isinstance(error, FetchFailed):
        return StoreUnavailable(error.text)
    if isinstance(error, ReelyardError):
        return error
    if isinstance(error, ParamValidationError):
        return BadParameter("storageConfig.bucket or a key of it cannot be sent")
    if isinstance(error, ClientError):
        words = {"verb": verb, "bucket": bucket, "region": region, "host": host}
        return _answered(code_of(error), status_of(error), words)
    if isinstance(error, httpcore.TimeoutException):
        return StoreUnavailable(f"{host} did not answer in time")
    if why := distrust(error):
        return StoreUnavailable(f"the certificate of {host} is not trusted: {why}")
    if isinstance(error, (httpcore.NetworkError, HTTPClientError)):
        return StoreUnavailable(f"{host} cannot be reached, or broke off")
    if isinstance(error, (httpcore.ProtocolError, ResponseParserError)):
        return StoreUnavailable(f"{host} broke off, or answers with what is not S3")
    if isinstance(error, BotoCoreError):
        return StoreRefused(f"the request to {host} could not be made: {type(error).__name__}")
    return StorageError(f"{host}: {type(error).__name__}")


def _answered(code: str, status: int, words: dict[str, str]) -> StorageError:
    name = BY_STATUS.get(status, code) if code in ("", str(status)) else code
    shown = "".join(c for c in name if c.isalnum() or c in ".-_")[:64] or str(status)
    told = f"{words['host']} answered {status} {shown}"
    if name in EXPIRED:
        return StoreTokenExpired(f"stsToken has expired; send a new one by update ({told})")
    if name in CORRUPT:
        return StoreCorrupt(f"the bytes arrived damaged ({told})")
    if name == SKEWED:
        return StoreUnavailable(f"this machine's clock differs from the store's ({told})")
    if name in WAIT or status in (408, 425, 429) or status >= 500:
        return StoreUnavailable(told)
    if name in REFUSED:
        return StoreRefused(f"{REFUSED[name].format_map(words)} ({told})")
    return StoreRefused(f"could not {words['verb']} in bucket {words['bucket']} ({told})")
