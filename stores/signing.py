"""botocore's signers, by a clock that is given: a store refuses a signature whose time is off, so we sign by its own.

botocore reads the machine's clock inside `add_auth`. These signers take the time from the request's context instead;
`SIGNERS` names them for the `choose-signer` event.
"""

from __future__ import annotations

from email.utils import formatdate
from time import gmtime, strftime
from typing import Any, Final

from botocore.auth import (
    AUTH_TYPE_MAPS,
    SIGV4_TIMESTAMP,
    HmacV1Auth,
    HmacV1QueryAuth,
    S3SigV4Auth,
    S3SigV4QueryAuth,
)

#: Key in a request's context: unix seconds to sign with.
SIGNED_AT: Final = "reelyard_signed_at_s"


class _Headers(S3SigV4Auth):
    def _modify_request_before_signing(self, request: Any) -> None:
        request.context["timestamp"] = strftime(SIGV4_TIMESTAMP, gmtime(request.context[SIGNED_AT]))
        super()._modify_request_before_signing(request)  # type: ignore[misc]  # the stubs leave private names out


class _Query(S3SigV4QueryAuth):
    def _modify_request_before_signing(self, request: Any) -> None:
        request.context["timestamp"] = strftime(SIGV4_TIMESTAMP, gmtime(request.context[SIGNED_AT]))
        super()._modify_request_before_signing(request)  # type: ignore[misc]  # the stubs leave private names out


class _OldHeaders(HmacV1Auth):
    def add_auth(self, request: Any) -> None:
        self._signed_at_s = request.context[SIGNED_AT]
        super().add_auth(request)

    def _get_date(self) -> str:
        return formatdate(self._signed_at_s, usegmt=True)


class _OldQuery(HmacV1QueryAuth):
    def add_auth(self, request: Any) -> None:
        self._signed_at_s = request.context[SIGNED_AT]
        super().add_auth(request)

    def _get_date(self) -> str:
        return str(int(self._signed_at_s + int(self._expires)))  # type: ignore[attr-defined]  # as above


#: botocore's names → ours.
SIGNERS: Final = {
    "s3v4": "reelyard-s3v4",
    "s3v4-query": "reelyard-s3v4-query",
    "s3": "reelyard-s3",
    "s3-query": "reelyard-s3-query",
}
AUTH_TYPE_MAPS.update(
    {
        "reelyard-s3v4": _Headers,
        "reelyard-s3v4-query": _Query,
        "reelyard-s3": _OldHeaders,
        "reelyard-s3-query": _OldQuery,
    }
)
