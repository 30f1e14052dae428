"""One HTTP request to an address that a user named: guarded, and bounded in bytes, time and redirects."""

from __future__ import annotations

import ssl
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import httpcore
import httpx

from models.vocabulary.errors import BadParameter, FetchFailed, FetchRefused
from net.connections import distrust, guarded_pool, remaining_s, timeouts, within
from net.guard import Network, Resolver, system_resolver

MAX_URL_CHARS: Final = 2_048
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
#: Headers that another origin must not see (RFC 9110 §15.4).
PRIVATE_HEADERS: Final = frozenset({"authorization", "cookie", "proxy-authorization"})
BODY_HEADERS: Final = frozenset({"content-type", "content-length", "content-encoding", "transfer-encoding"})
#: zlib window: 16 + 15 reads gzip, 15 zlib's own (which HTTP calls deflate).
WINDOW_BITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: httpx.Headers
    body: bytes
    url: str  # that of the last hop


@dataclass(frozen=True, slots=True)
class Hop:
    method: str
    url: httpx.URL
    headers: httpx.Headers
    body: bytes | None


def fetch(
    method: str,
    url: str,
    *,
    allow_networks: Iterable[Network] = (),
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    max_bytes: int = 1_048_576,
    timeout_s: float = 10.0,
    redirects: int = 0,
    resolver: Resolver = system_resolver,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """Send and return whatever status comes back; a redirect beyond `redirects` > 0 is refused, with 0 it is the answer.

    Raises `AddressRefused` (any hop), `FetchFailed` (try again), `FetchRefused` (it will not get better),
    `BadParameter` (no http or https URL). `timeout_s` bounds it all, look-ups and hops included.
    """
    hop = Hop(method.upper(), address(url), httpx.Headers(headers), body)
    hop.headers.setdefault("Accept-Encoding", "identity")
    with within(timeout_s), guarded_pool(allow_networks, resolver, tls=tls, connections=1, keepalive_s=0) as pool:
        for left in range(redirects, -1, -1):
            answer = _send(pool, hop, max_bytes)
            target = answer.headers.get("location")
            if answer.status not in REDIRECTS or not target or redirects == 0:
                return answer
            if left:
                hop = next_hop(hop, answer.status, target)
    raise FetchRefused(f"{hop.url.host} redirects more than {redirects} times")


def address(url: str) -> httpx.URL:
    """A URL that may be fetched at all, parsed. Raises `BadParameter`."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise BadParameter("that is no URL") from error
    if len(url) > MAX_URL_CHARS:
        raise BadParameter(f"a URL has at most {MAX_URL_CHARS} characters")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise BadParameter("only http:// and https:// URLs are fetched")
    if parsed.userinfo:
        raise BadParameter("a URL must not carry a user name or password")
    return parsed


def next_hop(hop: Hop, status: int, target: str) -> Hop:
    """Where a redirect leads, and what is sent there. Raises `FetchRefused` for what is not followed."""
    try:
        url = address(str(hop.url.join(target)))
    except (BadParameter, httpx.InvalidURL) as error:
        raise FetchRefused(f"{hop.url.host} redirects to what is no http or https URL") from error
    becomes_get = status == 303 or (status in (301, 302) and hop.method == "POST")
    keep_method = not becomes_get or hop.method == "HEAD"
    drop = frozenset() if keep_method else BODY_HEADERS
    if _origin(url) != _origin(hop.url):
        drop = drop | PRIVATE_HEADERS | {"host"}
    headers = httpx.Headers([(k, v) for k, v in hop.headers.items() if k.lower() not in drop])
    return Hop(hop.method if keep_method else "GET", url, headers, hop.body if keep_method else None)


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


def _send(pool: httpcore.ConnectionPool, hop: Hop, max_bytes: int) -> Answer:
    url = httpcore.URL(
        scheme=hop.url.raw_scheme, host=hop.url.raw_host, port=hop.url.port, target=hop.url.raw_path or b"/"
    )
    headers = hop.headers.copy()
    headers.setdefault("Host", hop.url.netloc.decode())  # httpcore would leave out the brackets of IPv6
    try:
        with pool.stream(
            hop.method, url, headers=headers.raw, content=hop.body, extensions={"timeout": timeouts()}
        ) as response:
            said = httpx.Headers(response.headers)
            body = read_bounded(response.iter_stream(), said.get("content-encoding", ""), max_bytes)
            return Answer(response.status, said, body, str(hop.url))
    except httpcore.LocalProtocolError as error:
        raise BadParameter("a header of the request cannot be sent") from error
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise FetchFailed(failure(hop.url.host, error)) from error


def failure(host: str, error: Exception) -> str:
    """In words, what an error of httpcore means."""
    if isinstance(error, httpcore.TimeoutException) or remaining_s() == 0:
        return f"{host} did not answer in time"
    if why := distrust(error):
        return f"the certificate of {host} is not trusted: {why}"
    if isinstance(error, httpcore.ConnectError):
        return f"{host} cannot be connected to"
    return f"{host} broke off"


def read_bounded(chunks: Iterable[bytes], coding: str, max_bytes: int) -> bytes:
    """The body, decoded, at most `max_bytes` of it: neither the wire nor an unpacked bomb may be longer."""
    body = bytearray()
    for piece in _decoded(chunks, coding.strip().lower(), max_bytes):
        body += piece
        if len(body) > max_bytes:
            raise FetchRefused(f"the answer is longer than {max_bytes} bytes")
    return bytes(body)


def _decoded(chunks: Iterable[bytes], coding: str, max_bytes: int) -> Iterator[bytes]:
    if coding in ("", "identity"):
        yield from chunks
        return
    if coding not in WINDOW_BITS:
        raise FetchRefused(f"the answer is coded as {coding[:32]!r}, which was not asked for")
    unpack = zlib.decompressobj(WINDOW_BITS[coding])
    wire_bytes = 0
    try:
        for chunk in chunks:
            wire_bytes += len(chunk)
            if wire_bytes > max_bytes + 1_024:  # headers of an incompressible body; anything more is padding
                raise FetchRefused(f"the answer is longer than {max_bytes} bytes")
            yield unpack.decompress(chunk, max_bytes + 1)
            if unpack.unconsumed_tail:
                raise FetchRefused(f"the answer unpacks to more than {max_bytes} bytes")
    except zlib.error as error:
        raise FetchRefused("the answer's compression is broken") from error
    if wire_bytes and not unpack.eof:  # an answer to HEAD names a coding and has no body
        raise FetchFailed("the answer's compressed body ends too early")
