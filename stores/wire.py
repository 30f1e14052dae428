"""How a botocore client's requests travel: over guarded, deadline-bound connections, signed by the store's clock.

All of it hangs on botocore's public events: `choose-signer`, `before-sign`, `before-send`. urllib3 is never reached,
for it resolves names again after the guard has judged them, and it cannot end a request that drips.
"""

from __future__ import annotations

import io
import logging
import os
import threading
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import SplitResult, urlsplit

import botocore.session
import httpcore
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config

from models.vocabulary.errors import StoreUnavailable
from models.vocabulary.spec import StoreKeys
from net.connections import timeouts
from stores.signing import SIGNED_AT, SIGNERS
from stores.vendors import Place

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PIECE_BYTES: Final = 65_536
#: Bounds on what a store may answer: lists and errors; a piece of an object.
ANSWER_BYTES: Final = 4 << 20
OBJECT_BYTES: Final = 256 << 20
#: Below this an offset is the second's rounding and the way's length; stores refuse from 15 minutes on.
SKEW_S: Final = 30.0

_session_lock = threading.Lock()
_session: botocore.session.Session | None = None
# botocore's debug log quotes requests with their signatures.
logging.getLogger("botocore").setLevel(logging.INFO)


class StoreClock:
    """The store's time, learned from the `Date` of its answers."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self.offset_s = 0.0

    def now_s(self) -> float:
        return self._wall() + self.offset_s

    def learn(self, date: str | None) -> None:
        try:
            offset_s = parsedate_to_datetime(date or "").timestamp() - self._wall()
        except ValueError:
            return  # no date that can be read: what was known stays
        self.offset_s = offset_s if abs(offset_s) >= SKEW_S else 0.0


class Wire:
    """The event handlers of one client."""

    def __init__(self, pool: httpcore.ConnectionPool, clock: StoreClock) -> None:
        self._pool = pool
        self._clock = clock

    def attach(self, client: S3Client) -> None:
        events: Any = client.meta.events  # the stubs say that handlers return nothing
        events.register_first("choose-signer.s3", self._choose_signer)
        events.register("before-sign.s3", self._before_sign)
        events.register("before-send.s3", self._send)

    def _choose_signer(self, signature_version: object, **_: object) -> str | None:
        return SIGNERS.get(str(signature_version))

    def _before_sign(self, request: Any, **_: object) -> None:
        request.context[SIGNED_AT] = self._clock.now_s()

    def _send(self, request: AWSPreparedRequest, event_name: str, **_: object) -> AWSResponse:
        url = urlsplit(request.url)
        most_bytes = OBJECT_BYTES if event_name.endswith(".GetObject") else ANSWER_BYTES
        with self._pool.stream(
            str(request.method),
            httpcore.URL(
                scheme=url.scheme.encode(),
                host=(url.hostname or "").encode(),
                port=url.port,
                target=f"{url.path or '/'}{'?' + url.query if url.query else ''}".encode(),
            ),
            headers=[(b"Host", _host(url)), *_headers(request)],
            content=_pieces(request.body),
            extensions={"timeout": timeouts()},
        ) as response:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in response.headers}
            body = _bounded(response.iter_stream(), most_bytes)
        self._clock.learn({k.lower(): v for k, v in headers.items()}.get("date"))
        return AWSResponse(request.url, response.status, cast(Any, headers), cast(Any, _Body(body)))


class _Body(io.BytesIO):
    """As much of urllib3's response as botocore reads."""

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield self.read()


def _headers(request: AWSPreparedRequest) -> list[tuple[bytes, bytes]]:
    """`Expect` stays behind: it is not signed, and waiting for its answer would cost a round trip a segment."""
    every = [(_octets(name), _octets(value)) for name, value in request.headers.items()]
    return [(name, value) for name, value in every if name.lower() not in (b"expect", b"host")]


def _host(url: SplitResult) -> bytes:
    """As botocore signed it: brackets round IPv6, no port where the scheme implies it."""
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname or ""
    implied = url.port in (None, {"http": 80, "https": 443}[url.scheme])
    return (host if implied else f"{host}:{url.port}").encode()


def _octets(text: object) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode()


def _pieces(body: Any) -> Iterator[bytes] | bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, (str, bytearray)):
        return _octets(body) if isinstance(body, str) else bytes(body)
    return iter(lambda: cast(bytes, body.read(PIECE_BYTES)), b"")


def _bounded(chunks: Any, most_bytes: int) -> bytes:
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > most_bytes:
            raise StoreUnavailable(f"the store's answer is longer than {most_bytes} bytes")
    return bytes(body)


def make_client(place: Place, keys: StoreKeys, connections: int) -> S3Client:
    config = Config(
        signature_version=place.vendor.signature,
        s3={"addressing_style": place.vendor.addressing},
        request_checksum_calculation="when_required",  # newer defaults are unknown to most vendors
        response_checksum_validation="when_required",
        retries={"mode": "standard", "total_max_attempts": 1},  # the store tries again itself, within its deadline
        max_pool_connections=connections,
    )
    with _session_lock:  # clients are thread-safe, making them is not
        client = _botocore().create_client(
            "s3",
            region_name=place.region,
            endpoint_url=place.endpoint,
            aws_access_key_id=keys.access_key,
            aws_secret_access_key=keys.secret_key,
            aws_session_token=keys.session_token or None,
            config=config,
        )
    return cast("S3Client", client)


def _botocore() -> botocore.session.Session:
    """One session: it caches the service's model. What this machine's user has set up for AWS is not a customer's."""
    global _session
    if _session is None:
        _session = botocore.session.Session()
        for variable in ("config_file", "credentials_file"):
            _session.set_config_variable(variable, os.devnull)
        _session.set_config_variable("profile", None)
    return _session
