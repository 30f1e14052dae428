"""The client against real servers on loopback: pinned, bounded, guarded at each hop."""

from __future__ import annotations

import datetime
import gzip
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from models.vocabulary.errors import AddressRefused, BadParameter, FetchFailed, FetchRefused
from net.http import Answer, fetch

HOME = (ip_network("127.0.0.1/32"),)
Reply = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """Runs one function for every request, and remembers what was asked."""

    def __init__(self, reply: Reply, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {k.lower(): v for k, v in self.headers.items()}
                outer.seen.append((self.command, self.path, headers, body))
                self.close_connection = True
                reply(self)

            do_GET = do_POST = do_PUT = do_HEAD = _any

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it so)
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64  # five, the default, make a crowd wait a second for its SYN
            block_on_close = False

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # clients here leave on purpose

        Quiet.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._server = Quiet((address, 0), Handler)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"http://[{address}]:{self.port}" if ":" in address else f"http://{address}:{self.port}"

    def __enter__(self) -> Server:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def says(body: bytes, status: int = 200, **headers: str) -> Reply:
    def reply(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)

    return reply


@contextmanager
def took_less_than(limit_s: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < limit_s


def get(url: str, **more: object) -> Answer:
    return fetch("GET", url, allow_networks=HOME, **more)  # type: ignore[arg-type]  # tests pass any of fetch's own


def test_an_answer_brings_status_headers_body_and_url() -> None:
    with Server(says(b"hello", 201, X_Kind="greeting")) as server:
        answer = get(f"{server.url}/a%20b?c=d")
    assert (answer.status, answer.body, answer.headers["x-kind"]) == (201, b"hello", "greeting")
    assert server.seen[0][:2] == ("GET", "/a%20b?c=d")
    assert answer.url == f"{server.url}/a%20b?c=d"


def test_an_ipv6_host_keeps_its_brackets() -> None:
    try:
        server = Server(says(b"six"), "::1")
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with server:
        assert fetch("GET", server.url, allow_networks=(ip_network("::1/128"),)).body == b"six"
    assert server.seen[0][2]["host"] == f"[::1]:{server.port}"


def test_a_post_carries_its_body_and_headers() -> None:
    with Server(says(b"")) as server:
        fetch("POST", server.url, allow_networks=HOME, body=b"x" * 100_000, headers={"Content-Type": "a/b"})
    method, _, headers, body = server.seen[0]
    assert (method, headers["content-type"], body) == ("POST", "a/b", b"x" * 100_000)


def test_loopback_is_refused_without_a_setting_and_nothing_is_sent() -> None:
    with Server(says(b"secret")) as server, pytest.raises(AddressRefused, match="REELYARD_ALLOW_NETWORKS"):
        fetch("GET", server.url)
    assert server.seen == []


def test_a_redirect_to_a_refused_address_is_refused() -> None:
    with Server(says(b"secret"), "127.0.0.2") as inner:
        with Server(says(b"", 302, Location=f"{inner.url}/meta")) as outer, pytest.raises(AddressRefused):
            get(outer.url, redirects=3)
        assert inner.seen == []


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/"])
def test_a_redirect_to_another_scheme_is_not_followed(target: str) -> None:
    with Server(says(b"", 302, Location=target)) as server, pytest.raises(FetchRefused):
        get(server.url, redirects=3)


def test_without_redirects_a_redirect_is_the_answer() -> None:
    with Server(says(b"", 302, Location="/elsewhere")) as server:
        assert get(server.url).status == 302


def test_redirects_are_counted() -> None:
    with Server(says(b"", 302, Location="/again")) as server, pytest.raises(FetchRefused, match="more than 3"):
        get(server.url, redirects=3)
    assert len(server.seen) == 4


def test_another_origin_sees_no_credentials_and_a_303_turns_post_into_get() -> None:
    with Server(says(b"done")) as there, Server(says(b"", 303, Location=there.url)) as here:
        headers = {"Authorization": "Bearer s", "Content-Type": "a/b", "X-Mine": "kept"}
        answer = fetch("POST", here.url, allow_networks=HOME, body=b"b", headers=headers, redirects=1)
    method, _, seen, body = there.seen[0]
    assert (answer.body, method, body, seen["x-mine"]) == (b"done", "GET", b"", "kept")
    assert "authorization" not in seen
    assert "content-type" not in seen


def test_a_307_repeats_method_and_body() -> None:
    def reply(request: BaseHTTPRequestHandler) -> None:
        first = request.path == "/"
        says(b"", 307, Location="/next")(request) if first else says(b"ok")(request)

    with Server(reply) as server:
        assert fetch("POST", f"{server.url}/", allow_networks=HOME, body=b"again", redirects=1).body == b"ok"
    assert [(method, path, body) for method, path, _, body in server.seen] == [
        ("POST", "/", b"again"),
        ("POST", "/next", b"again"),
    ]


def test_a_name_is_looked_up_once_and_the_first_judged_answer_is_used() -> None:
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    with Server(says(b"outer")) as server:
        answer = get(f"http://rebind.example:{server.port}/", resolver=rebinding)
    assert (answer.body, asked) == (b"outer", ["rebind.example"])
    assert server.seen[0][2]["host"] == f"rebind.example:{server.port}"


def test_a_name_that_turns_private_between_two_hops_is_refused_at_the_second() -> None:
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    with Server(says(b"", 302, Location="/next")) as server, pytest.raises(AddressRefused):
        get(f"http://rebind.example:{server.port}/", resolver=lambda *_: next(answers), redirects=1)


def test_when_the_first_address_is_dead_the_next_is_tried() -> None:
    allow = (ip_network("127.0.0.0/8"),)
    with Server(says(b"alive")) as server:
        url = f"http://two.example:{server.port}/"
        assert fetch("GET", url, allow_networks=allow, resolver=lambda *_: ["127.0.0.9", "127.0.0.1"]).body == b"alive"


def _drip(request: BaseHTTPRequestHandler, first: bytes) -> None:
    request.wfile.write(first)
    try:
        for _ in range(200):
            request.wfile.write(b"x")
            request.wfile.flush()
            time.sleep(0.05)
    except OSError:
        pass  # the client has left, as it should


@pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Long: "])
def test_an_answer_that_drips_ends_at_the_deadline(first: bytes) -> None:
    with (
        Server(lambda request: _drip(request, first)) as server,
        took_less_than(2),
        pytest.raises(FetchFailed, match="in time"),
    ):
        get(server.url, timeout_s=0.4)


def test_a_body_longer_than_allowed_is_refused_before_it_is_read() -> None:
    with Server(says(b"x" * 5_000_000)) as server, pytest.raises(FetchRefused, match="longer than 1000"):
        get(server.url, max_bytes=1000)


def test_a_body_of_exactly_the_bound_is_taken() -> None:
    with Server(says(b"x" * 1000)) as server:
        assert len(get(server.url, max_bytes=1000).body) == 1000


def test_a_gzip_bomb_is_refused() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    with Server(says(bomb, Content_Encoding="gzip")) as server, pytest.raises(FetchRefused, match="than 100000 bytes"):
        get(server.url, max_bytes=100_000)


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_packed_answer_that_nobody_asked_for_is_unpacked_all_the_same(
    coding: str, pack: Callable[[bytes], bytes]
) -> None:
    text = bytes(range(256)) * 100
    with Server(says(pack(text), Content_Encoding=coding)) as server:
        assert get(server.url, max_bytes=len(text)).body == text
    assert server.seen[0][2]["accept-encoding"] == "identity"


def test_an_unknown_coding_is_refused() -> None:
    with Server(says(b"??", Content_Encoding="br")) as server, pytest.raises(FetchRefused):
        get(server.url)


def test_a_head_answer_that_names_a_coding_has_an_empty_body() -> None:
    with Server(says(b"", Content_Encoding="gzip")) as server:
        assert fetch("HEAD", server.url, allow_networks=HOME).body == b""


def test_a_cut_off_answer_is_a_failure_not_a_short_body() -> None:
    def reply(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

    with Server(reply) as server, pytest.raises(FetchFailed, match="broke off"):
        get(server.url)


def test_nobody_listening_is_a_failure_that_may_be_tried_again() -> None:
    with Server(says(b"")) as server:
        url = server.url
    with pytest.raises(FetchFailed, match="cannot be connected") as caught:
        get(url)
    assert caught.value.retryable


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "http:///x", "//host/x", "x", "http://u:p@127.0.0.1/", "http://h/" + "x" * 3000]
)
def test_what_is_not_an_http_url_is_a_bad_parameter(url: str) -> None:
    with pytest.raises(BadParameter):
        get(url)


def test_a_header_cannot_smuggle_another() -> None:
    with Server(says(b"")) as server, pytest.raises(BadParameter):
        get(server.url, headers={"X-A": "b\r\nX-C: d"})


def test_many_threads_may_fetch_at_once() -> None:
    with Server(says(b"ok")) as server, ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: get(f"{server.url}/{n}").status, range(24)))
    assert answers == [200] * 24


def made_certificate(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    path = folder / "both.pem"
    path.write_bytes(
        pem
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cadata=pem.decode())


def test_tls_checks_the_name_although_the_connection_goes_to_the_pinned_address(tmp_path: Path) -> None:
    serving, trusting = made_certificate("right.example", tmp_path)
    names: list[str | None] = []
    serving.sni_callback = lambda _socket, name, _context: names.append(name)
    with Server(says(b"safe"), tls=serving) as server:
        found = {"resolver": lambda *_: ["127.0.0.1"], "tls": trusting}
        assert get(f"https://right.example:{server.port}/", **found).body == b"safe"
        with pytest.raises(FetchFailed, match=r"certificate of wrong\.example is not trusted"):
            get(f"https://wrong.example:{server.port}/", **found)
    assert names[0] == "right.example"
    assert len(server.seen) == 1
