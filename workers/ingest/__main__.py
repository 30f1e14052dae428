"""`python -m workers.ingest`: settings from the environment, ends on SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import logging
import signal

from models.settings import settings
from workers.ingest.process import Ingest


async def run() -> None:
    ingest = Ingest(settings())
    await ingest.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ingest.stop)
    await ingest.serve()


if __name__ == "__main__":
    logging.basicConfig(level=settings().log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(run())
