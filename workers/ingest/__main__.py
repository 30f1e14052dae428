"""`python -m workers.ingest`: settings from the environment, ends on SIGTERM."""

from __future__ import annotations

import asyncio
import logging

from models.settings import settings
from workers.ingest.process import Ingest


async def run() -> None:
    ingest = Ingest(settings())
    await ingest.start()
    await ingest.serve()


if __name__ == "__main__":
    logging.basicConfig(level=settings().log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(run())
