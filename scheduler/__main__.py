"""`python -m scheduler`: places, reaps, finalises. Any number may run; one leads."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import threading

from models import logs
from models.database import open_database
from models.settings import settings
from scheduler.app import app
from scheduler.broker import CeleryBroker
from scheduler.loop import Loop

log = logging.getLogger("scheduler")


def main() -> int:
    chosen = settings()
    logs.configure("scheduler", chosen.log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    database = open_database(chosen.database_url)
    broker = CeleryBroker(app, chosen.broker_url)
    owner = f"{socket.gethostname()[:50]}-{os.getpid()}-{secrets.token_hex(4)}"
    log.info("started as %s", owner)
    try:
        Loop(database, broker, chosen, owner).run(stop)
    finally:
        broker.close()
        database.close()
    log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
