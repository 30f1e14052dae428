"""What the tests of this folder stand on: a running ingest, publishers, and a recorder that keeps what it gets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from farm.publisher.publisher import SyntheticPublisher
from models.settings import Settings
from models.tokens import Audience, mint_whip, whip_keys
from models.vocabulary.channel import Room
from tests.capture.kept import Kept, keeping
from workers.ingest.process import Ingest
from workers.ingest.publisher import Patience
from workers.recorder.capture.whip import WhipChannel
from workers.recorder.clock import RealClock
from workers.synthetic.plan import MediaPlan
from workers.webrtc.tap import Drops

SECRET = "a secret of the tests"
KEY = whip_keys(SECRET)[0]
APPID = "app"
CNAME = "room one"
SMALL = MediaPlan(width=160, height=90, fps=15, loop_s=2)


def token(audience: Audience, uid: str, *, ttl_s: int = 60, cname: str = CNAME) -> str:
    return mint_whip(KEY, APPID, cname, uid, ttl_s, time.time(), audience)


def settings(**changes: object) -> Settings:
    values = {
        "secret_keys": SECRET,
        "ingest_bind": "127.0.0.1:0",
        "ingest_units_bind": "127.0.0.1:0",
        "ice_addresses": ("127.0.0.1",),
    }
    return Settings(**(values | changes))  # type: ignore[arg-type]  # pydantic checks them


@asynccontextmanager
async def running_ingest(
    patience: Patience | None = None, drops: Drops | None = None, **changes: object
) -> AsyncIterator[Ingest]:
    ingest = Ingest(settings(**changes), patience, drops)
    await ingest.start()
    serving = asyncio.create_task(ingest.serve())
    try:
        yield ingest
    finally:
        ingest.stop()
        await serving


def endpoint(ingest: Ingest, uid: str) -> str:
    return f"http://127.0.0.1:{ingest.port}/whip/{APPID}/{CNAME.replace(' ', '%20')}/{uid}"


def publisher(ingest: Ingest, uid: str, plan: MediaPlan = SMALL) -> SyntheticPublisher:
    return SyntheticPublisher(endpoint(ingest, uid), token(Audience.WHIP_INGEST, uid), plan)


async def until(condition: Callable[[], object], within_s: float = 10.0) -> None:
    """Wait for something to become true; fails the test when it does not."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  (conditions of other parts have no event)
            await asyncio.sleep(0.01)


Recording = Kept


def room_at(port: int, *, ttl_s: int = 60, cname: str = CNAME) -> Room:
    credentials = {"token": token(Audience.UNITS, "recorder", ttl_s=ttl_s, cname=cname)}
    return Room(f"whip:127.0.0.1:{port}", APPID, cname, "recorder", 0, credentials)


@asynccontextmanager
async def recording(ingest: Ingest, port: int | None = None) -> AsyncIterator[Recording]:
    async with keeping(WhipChannel(RealClock()), room_at(port or ingest.units_port)) as kept:
        yield kept
