"""`python -m bench.upload [--quick]`: what it costs to bring a recording's slices to a store, and how fast a backlog goes.

The uploader of a recorder against a SeaweedFS on this machine, which takes its share of the cores. Last line: JSON.
`catch_up` is how many hours of a recording at 0.6 Mbit/s go up in an hour, after the store was away.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from models.vocabulary import keys, playlist
from models.vocabulary.errors import StorageError, StoreUnavailable
from models.vocabulary.playlist import Entry
from models.vocabulary.spec import S3Store, StoreKeys
from models.vocabulary.ticks import slot_ticks
from stores.base import Store
from stores.opening import open_store
from tests import servers
from workers.recorder.clock import RealClock
from workers.recorder.upload.uploader import Item, Text, Uploader

SLICE_S: Final = 6
SLICE_BYTES: Final = 600_000 * SLICE_S // 8  # 360p at 0.55 Mbit/s, sound, container
DAY_SLICES: Final = 86_400 // SLICE_S
T0_MS: Final = 1_767_225_600_000
SID: Final = "5" * 32
LOOPBACK: Final = (ip_network("127.0.0.0/8"),)


@dataclass(slots=True)
class Figures:
    slices: int
    slice_bytes: int
    mib_per_s: float
    cpu_s_per_gb: float
    catch_up: float  # hours of recording in an hour
    film_mib_per_s: float  # one large file, in parts
    film_cpu_s_per_gb: float
    day_playlist_bytes: int
    day_playlist_render_ms: float
    day_playlist_put_ms: float


class Fleeting:
    """A store that is away until it is told to be there."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.caps = store.caps
        self.is_there = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def put(self, key: str, source: Path | bytes, **more: object) -> None:
        if not self.is_there:
            raise StoreUnavailable("away")
        self._store.put(key, source, **more)  # type: ignore[arg-type]  # what it was given


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.upload", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="does it run?")
    asked = parser.parse_args()
    count, film_bytes = (20, 40 << 20) if asked.quick else (300, 400 << 20)
    with tempfile.TemporaryDirectory(prefix="reelyard-bench-upload-") as name:
        folder = Path(name)
        (folder / "s3").mkdir()
        process, server = servers.start_s3(servers.find_s3(), folder / "s3")
        try:
            address = S3Store(vendor=11, bucket=server.bucket, endpoint=server.endpoint)
            store_keys = StoreKeys(access_key=server.access_key, secret_key=server.secret_key)
            store = open_store(address, store_keys, allow_networks=LOOPBACK)
            figures = asyncio.run(measure(store, folder, count, film_bytes))
        finally:
            process.stop()
    for name, figure in asdict(figures).items():
        sys.stderr.write(f"{name:24} {figure}\n")
    sys.stdout.write(json.dumps(asdict(figures)) + "\n")
    return 0


async def measure(store: Store, folder: Path, count: int, film_bytes: int) -> Figures:
    slices = [item(folder, f"{n:05}.ts", SLICE_BYTES, n) for n in range(count)]
    say(f"{count} slices of {SLICE_BYTES} bytes, one after the other as they come")
    seconds, cpu_s = await upload(store, slices)
    total = count * SLICE_BYTES
    say(f"the same {count} again, after the store was away")
    fleeting = Fleeting(store)
    caught_up_s = await catch_up(fleeting, slices)
    film = item(folder, "film.mp4", film_bytes, 7)
    say(f"a film of {film_bytes} bytes, in parts")
    film_s, film_cpu_s = await upload(store, [film])
    text, render_s = day_playlist()
    say(f"a playlist of {DAY_SLICES} slices")
    put_s = await write(store, text)
    return Figures(
        slices=count,
        slice_bytes=SLICE_BYTES,
        mib_per_s=round(total / seconds / (1 << 20), 1),
        cpu_s_per_gb=round(cpu_s / total * 1e9, 2),
        catch_up=round(count * SLICE_S / caught_up_s, 1),
        film_mib_per_s=round(film_bytes / film_s / (1 << 20), 1),
        film_cpu_s_per_gb=round(film_cpu_s / film_bytes * 1e9, 2),
        day_playlist_bytes=len(text.encode()),
        day_playlist_render_ms=round(render_s * 1000, 1),
        day_playlist_put_ms=round(put_s * 1000, 1),
    )


def item(folder: Path, name: str, size: int, seed: int) -> Item:
    path = folder / name
    body = random.Random(seed).randbytes(1 << 16) * (size // (1 << 16) + 1)
    path.write_bytes(body[:size])
    md5 = hashlib.md5(body[:size], usedforsecurity=False).hexdigest()
    return Item(f"bench/{name}", path, size, md5, "video/mp2t")


async def upload(store: Store, items: list[Item]) -> tuple[float, float]:
    """(seconds, seconds of CPU of this process)."""
    left = asyncio.Event()
    stored: list[str] = []

    def told(key: str, _store: str) -> None:
        stored.append(key)
        if len(stored) == len(items):
            left.set()

    uploader = uploading(store, told)
    began_s, began_cpu = time.monotonic(), cpu()
    for it in items:
        uploader.put(it)
    await left.wait()
    figures = time.monotonic() - began_s, cpu() - began_cpu
    await uploader.close()
    return figures


async def catch_up(store: Fleeting, items: list[Item]) -> float:
    left = asyncio.Event()
    stored: list[str] = []

    def told(key: str, _store: str) -> None:
        stored.append(key)
        if len(stored) == len(items):
            left.set()

    uploader = uploading(store, told)
    for it in items:
        uploader.put(it)
    await asyncio.sleep(1)
    store.is_there = True
    began_s = time.monotonic()
    await left.wait()
    seconds = time.monotonic() - began_s
    await uploader.close()
    return seconds


async def write(store: Store, text: str) -> float:
    written = asyncio.Event()
    uploader = uploading(store, lambda _key, _store: None, written.set)
    uploader.writer_for(60)
    began_s = time.monotonic()
    uploader.write(Text("bench/day.m3u8", playlist.CONTENT_TYPE, text, 1))
    await written.wait()
    await uploader.close()
    return time.monotonic() - began_s


def uploading(store: object, told: Callable[[str, str], None], written: Callable[[], None] = lambda: None) -> Uploader:
    return Uploader(
        store,  # type: ignore[arg-type]  # `Fleeting` is one by `__getattr__`
        RealClock(),
        random.Random(1).random,
        on_stored=told,
        on_written=lambda _key, _rev, _store: written(),
        on_trouble=lambda _error: None,
        on_lost=fail,
        on_crash=fail,
    )


def fail(what: object) -> None:
    raise StorageError(f"the bench lost {what}")


def day_playlist() -> tuple[str, float]:
    step = slot_ticks(SLICE_S)
    entries = [
        Entry(n * step, (n + 1) * step, keys.segment_key((), SID, "room", T0_MS, n * step, 1))
        for n in range(DAY_SLICES)
    ]
    began_s = time.monotonic()
    text = playlist.render(entries, t0_ms=T0_MS, slice_s=SLICE_S, ended=False)
    return text, time.monotonic() - began_s


def cpu() -> float:
    used = os.times()
    return used.user + used.system


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
