"""A service that speaks the contract over real HTTP, keeps what is true, and answers as badly as it is told to."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, Any]]
GONE: Reply = (404, {"code": 404, "reason": "failed to find worker"})


@dataclass
class Recorded:
    cname: str
    uid: str
    sid: str
    resource_id: str
    live: bool = True
    cause: str = ""
    died: bool = False


@dataclass
class Standin:
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    faults: float = 0.0  # share of calls that fail
    kinds: tuple[str, ...] = ("503 before", "503 after", "404 after", "reset before", "reset after", "slow")
    deaths: float = 0.0  # share of queries that find it dead
    records: bool = True  # has Reelyard's own record
    script: list[Reply] = field(default_factory=list)  # answers before anything else
    url: str = ""
    resources: dict[str, tuple[str, str]] = field(default_factory=dict)
    recordings: dict[str, Recorded] = field(default_factory=dict)
    calls: list[tuple[str, str, str]] = field(default_factory=list)  # verb, cname, uid
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    twice: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def live(self) -> list[Recorded]:
        return [r for r in self.recordings.values() if r.live]

    # -- what is true -------------------------------------------------------------------------------------------

    def handle(self, path: str, body: dict[str, Any]) -> Reply:
        parts = path.split("/")[4:]  # "", v1, apps, appid, …
        verb = parts[-1] if parts[0] == "cloud_recording" else "record"
        with self.lock:
            if self.script:
                return self.script.pop(0)
            if verb == "acquire":
                n = f"resource{len(self.resources)}"
                self.resources[n] = (body["cname"], body["uid"])
                self.calls.append((verb, *self.resources[n]))
                return 200, {"resourceId": n, "cname": body["cname"], "uid": body["uid"]}
            if verb == "start":
                return self._start(parts[2])
            recorded = self.recordings.get(parts[1] if verb == "record" else parts[4])
            if recorded is None:
                return GONE
            self.calls.append((verb, recorded.cname, recorded.uid))
            return self._about(verb, recorded)

    def _start(self, resource_id: str) -> Reply:
        cname, uid = self.resources[resource_id]
        self.calls.append(("start", cname, uid))
        before = next((r for r in self.recordings.values() if r.resource_id == resource_id), None)
        if before is not None:
            return 201, {"code": 7, "reason": "already started", "sid": before.sid}
        if any(r.live and (r.cname, r.uid) == (cname, uid) for r in self.recordings.values()):
            self.twice.append((cname, uid))
            return 400, {"code": 53, "reason": "task conflict"}
        sid = f"{len(self.recordings):032x}"
        self.recordings[sid] = Recorded(cname, uid, sid, resource_id)
        return 200, {"sid": sid, "resourceId": resource_id, "cname": cname, "uid": uid}

    def _about(self, verb: str, recorded: Recorded) -> Reply:
        if verb == "record":
            if not self.records:
                return 404, {"message": "no Route matched with those values"}
            status = 5 if recorded.live else 20 if recorded.died else 8
            return 200, {"status": status, "what_happened": recorded.cause, "files": [{"key": f"{recorded.sid}.m3u8"}]}
        if verb == "query" and recorded.live and self.chance.random() < self.deaths:
            recorded.live, recorded.died, recorded.cause = False, True, "the node was lost"
        if not recorded.live:
            return GONE
        if verb == "stop":
            recorded.live, recorded.cause = False, "stop called"
            return 200, {"sid": recorded.sid, "serverResponse": {"fileList": "", "uploadingStatus": "uploaded"}}
        files = {"fileListMode": "string", "fileList": f"{recorded.sid}_{recorded.cname}.m3u8"}
        return 200, {"sid": recorded.sid, "serverResponse": {"status": 5} | files}

    # -- what is said -------------------------------------------------------------------------------------------

    def fault(self) -> str:
        if self.chance.random() >= self.faults:
            return ""
        return self.chance.choice(self.kinds)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        pass

    def _any(self) -> None:
        standin = self.server.standin
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(raw) if raw else {}
        with standin.lock:
            standin.headers.append(dict(self.headers))
            standin.bodies.append(body)
            fault = standin.fault()
        if fault == "reset before":
            return self._reset()
        if fault == "503 before":
            return self._say(503, {"message": "bad gateway"})
        if fault == "slow":
            time.sleep(0.1)
        status, said = standin.handle(self.path, body)
        if fault == "reset after":
            return self._reset()
        if fault == "503 after":
            return self._say(503, {"message": "bad gateway"})
        if fault == "404 after":
            return self._say(*GONE)
        return self._say(status, said)

    do_GET = do_POST = _any

    def _say(self, status: int, said: dict[str, Any]) -> None:
        out = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    standin: Standin


@contextmanager
def serving(standin: Standin) -> Iterator[Standin]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.standin = standin
    standin.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield standin
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
