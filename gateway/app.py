"""The HTTP edge: `uvicorn gateway.app:app`. It decides nothing and keeps no state."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from gateway import answers, documents
from gateway.middleware import RequestLine
from gateway.routes import (
    addresses,
    channels,
    cloud_recording,
    files,
    health,
    jobs,
    join,
    metrics,
    notices,
    operators,
    recordings,
    whip,
)
from gateway.runtime import Runtime
from models import logs
from models.database import open_database
from models.settings import settings
from scheduler.app import app as celery_app
from scheduler.broker import CeleryBroker
from scheduler.service import Service

VERSION = "0.1.0"
DESCRIPTION = "Records real-time channels by the Cloud Recording contract. An existing integration changes its base URL and nothing else."


def create_app(service: Service | None = None) -> FastAPI:
    """The application; with a `service`, that one is used and stays its giver's, else one is made from the settings."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        used = service or _service()
        app.state.runtime = Runtime(used)
        app.state.metrics = metrics.Metrics(app.state.runtime, time.monotonic)
        try:
            yield
        finally:
            await app.state.runtime.close()
            if service is None:
                used.broker.close()
                used.database.close()

    app = FastAPI(
        title="Reelyard",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
    )
    answers.install(app)
    for routes in (
        cloud_recording,
        recordings,
        files,
        notices,
        addresses,
        jobs,
        operators,
        whip,
        channels,
        join,
        health,
        metrics,
    ):
        app.include_router(routes.router)
    documents.install(
        app, [*cloud_recording.SHAPES, *jobs.SHAPES, *whip.SHAPES, *channels.SHAPES, *operators.SHAPES, *files.SHAPES]
    )
    app.add_middleware(RequestLine)
    return app


def _service() -> Service:
    chosen = settings()
    logs.configure("gateway", chosen.log_level)
    logging.getLogger("uvicorn.access").disabled = True  # it writes whole paths; ours is `middleware.RequestLine`
    return Service(open_database(chosen.database_url), CeleryBroker(celery_app, chosen.broker_url), chosen)


app = create_app()
