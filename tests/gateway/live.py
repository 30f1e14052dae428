"""The gateway as a server of its own: uvicorn in a thread, on a port of 127.0.0.1."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from gateway.app import create_app
from tests.scheduler.farm import Farm
from tests.servers import free_ports


@contextmanager
def live_gateway(farm: Farm) -> Iterator[str]:
    """Its URL."""
    [port] = free_ports(1)
    config = uvicorn.Config(create_app(farm.service), host="127.0.0.1", port=port, log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 15
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
