"""What a store may do to a recording: nothing that it cannot mend."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from models.vocabulary import keys, pipe
from models.vocabulary.errors import ReelyardError, Scope, StorageError, StoreRefused, StoreUnavailable
from stores.memory import Memory
from tests.recorder.virtual import SID, Run, scene, spec, user
from workers.recorder.clock import VirtualClock, run_virtual
from workers.recorder.upload.uploader import Item, Text, Uploader

T = TypeVar("T")

PLAYLIST = keys.playlist_key((), SID, "room")
INDEX = keys.index_key((), SID, "room")


def listed(store: Memory) -> list[str]:
    text = store.get_range(PLAYLIST).decode()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


class Watched(Memory):
    """A store that notes each put, and that no playlist ever names what it does not hold."""

    def __init__(self, faults: object = None) -> None:
        super().__init__(faults)  # type: ignore[arg-type]  # a callable or None, as in Memory
        self.puts: list[str] = []
        self.broken_promises: list[str] = []

    def put(
        self, key: str, source: Path | bytes, *, md5_hex: str, content_type: str, timeout_s: float | None = None
    ) -> None:
        super().put(key, source, md5_hex=md5_hex, content_type=content_type, timeout_s=timeout_s)
        self.puts.append(key)
        if key == PLAYLIST:
            held = set(self.list())
            self.broken_promises += [name for name in listed(self) if name not in held]


def test_refused_keys_are_told_before_it_is_ready_and_end_the_recorder(tmp_path: Path) -> None:
    store = Watched(lambda operation, key: StoreRefused("no such bucket") if operation in ("put", "probe") else None)
    run = Run(tmp_path, spec(scene(tmp_path, user("a"))), store).record()
    assert run.code == 4
    (fault,) = run.keeper.faults
    assert (fault.scope, fault.retryable, fault.fatal, fault.text) == (Scope.CALLER, False, True, "no such bucket")
    assert 4 not in [int(s) for s in run.keeper.statuses]
    assert run.keeper.drained is None


def test_refused_later_the_recording_goes_on_and_arrives_once_it_is_mended(tmp_path: Path) -> None:
    clocks: list[VirtualClock] = []

    def faults(operation: str, key: str) -> StorageError | None:
        return StoreRefused("keys revoked") if clocks and 10 <= clocks[0].now() < 60 and operation == "put" else None

    async def act(run: Run, clock: VirtualClock) -> None:
        clocks.append(clock)

    store = Watched(faults)
    run = Run(tmp_path, spec(scene(tmp_path, user("a"), duration_s=40)), store).record(act)
    assert run.code == 0
    assert {(f.text, f.fatal) for f in run.keeper.faults} == {("keys revoked", False)}
    assert (run.head_90k, len(listed(store)), store.broken_promises) == (40 * 90_000, 7, [])


def test_a_restarted_recorder_does_not_give_up_a_recording_because_its_store_refuses(tmp_path: Path) -> None:
    clocks: list[VirtualClock] = []

    def faults(operation: str, key: str) -> StorageError | None:
        return StoreRefused("keys revoked") if not clocks or clocks[0].now() < 20 else None

    async def act(run: Run, clock: VirtualClock) -> None:
        clocks.append(clock)

    run = Run(tmp_path, spec(scene(tmp_path, user("a"), duration_s=30)), Watched(faults))
    run.record(act, t0_ms=1_767_225_600_000, resume_at_90k=540_000, opened_ms=1_767_225_594_000)
    assert run.code == 0
    assert [f.fatal for f in run.keeper.faults] == [False]


@pytest.mark.parametrize("error", [StoreUnavailable("away"), StorageError("odd")])
def test_a_store_that_is_away_at_the_start_is_waited_for(tmp_path: Path, error: StorageError) -> None:
    clocks: list[VirtualClock] = []

    def faults(operation: str, key: str) -> StorageError | None:
        return error if not clocks or clocks[0].now() < 20 else None

    async def act(run: Run, clock: VirtualClock) -> None:
        clocks.append(clock)

    store = Watched(faults)
    run = Run(tmp_path, spec(scene(tmp_path, user("a"), duration_s=30)), store).record(act)
    assert run.code == 0
    assert [f.fatal for f in run.keeper.faults] == [False]
    assert (len(listed(store)), store.broken_promises) == (5, [])


def test_half_of_all_puts_fail_and_everything_arrives_once(tmp_path: Path) -> None:
    chance = random.Random(4)

    def faults(operation: str, key: str) -> StorageError | None:
        lost = operation in ("put", "ack") and chance.random() < 0.3
        return StoreUnavailable("busy") if lost else None

    store = Watched(faults)
    run = Run(tmp_path, spec(scene(tmp_path, user("a"), duration_s=60), slice_s=2), store).record()
    assert run.code == 0
    assert (len(listed(store)), store.broken_promises) == (30, [])
    assert sorted(store.list()) == sorted([*run.keeper.slices, PLAYLIST, INDEX])


def test_an_hour_without_a_store_loses_nothing(tmp_path: Path) -> None:
    """Sound alone, for speed: what is tested is patience."""
    clocks: list[VirtualClock] = []

    def faults(operation: str, key: str) -> StorageError | None:
        return StoreUnavailable("away") if clocks and 10 <= clocks[0].now() < 3_610 else None

    async def act(run: Run, clock: VirtualClock) -> None:
        clocks.append(clock)

    mute = user("a", (0, "join"), (0, "publish"), (1, "unpublish"))
    channel = scene(tmp_path, mute, duration_s=3_640)
    store = Watched(faults)
    run = Run(tmp_path, spec(channel, stream_types=1, fps=1, slice_s=10), store).record(act)
    assert run.code == 0
    assert [f.text for f in run.keeper.faults] == ["away"]
    assert (len(listed(store)), store.broken_promises) == (364, [])
    assert max(Counter(store.puts)[key] for key in run.keeper.slices) == 1


def test_a_slice_that_vanished_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    clocks: list[VirtualClock] = []

    def faults(operation: str, key: str) -> StorageError | None:
        return StoreUnavailable("away") if clocks and clocks[0].now() < 15 else None

    async def act(run: Run, clock: VirtualClock) -> None:
        clocks.append(clock)
        await clock.sleep_until(10)
        (run.spool / next(iter(run.keeper.slices.values())).file).unlink()

    store = Watched(faults)
    run = Run(tmp_path, spec(scene(tmp_path, user("a"), duration_s=30)), store).record(act)
    assert run.code == 0
    assert len(run.keeper.lost) == 1
    assert any("gone from the spool" in f.text and not f.fatal for f in run.keeper.faults)
    assert (len(listed(store)), store.broken_promises) == (4, [])


# -- the uploader by itself ---------------------------------------------------------------------------------------


class Told:
    def __init__(self, store: Memory, clock: VirtualClock, backup: Memory | None = None) -> None:
        self.stored: list[str] = []
        self.by_store: list[tuple[str, str]] = []
        self.written: list[int] = []
        self.trouble: list[ReelyardError] = []
        self.crashes: list[BaseException] = []
        self.uploader = Uploader(
            store,
            clock,
            random.Random(2).random,
            on_stored=self._stored,
            on_written=lambda _key, rev, _store: self.written.append(rev),
            on_trouble=self.trouble.append,
            on_lost=self.stored.append,
            on_crash=self.crashes.append,
            backup=backup,
            backup_after_s=60,
            backup_address=lambda key: f"app/{key}",
        )

    def _stored(self, key: str, store: str) -> None:
        self.by_store.append((key, store))
        if store == "primary":
            self.stored.append(key)


def item(folder: Path, key: str) -> Item:
    path = folder / key
    path.write_bytes(key.encode())
    md5 = hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()
    return Item(key, path, len(key), md5, "video/mp2t")


class Away:
    """A store that answers nothing between two times, and counts how often it is asked."""

    def __init__(self, clock: VirtualClock, from_s: float, to_s: float) -> None:
        self.asked = 0
        self._clock, self._from_s, self._to_s = clock, from_s, to_s

    def __call__(self, operation: str, key: str) -> StorageError | None:
        if operation != "put" or not self._from_s <= self._clock.now() < self._to_s:
            return None
        self.asked += 1
        return StoreUnavailable("away")


def test_six_hours_without_a_store_nothing_is_given_up_and_it_is_not_besieged(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        away = Away(clock, 600, 6 * 3_600 + 600)
        store = Watched(away)
        told = Told(store, clock)
        told.uploader.writer_for(1e9)
        for n in range(3_900):  # six and a half hours
            told.uploader.put(item(tmp_path, f"{n:04}.ts"))
            listed = told.stored[: next((i for i, k in enumerate(told.stored) if k != f"{i:04}.ts"), None)]
            told.uploader.write(Text(PLAYLIST, "text/plain", "\n".join(listed), n + 1))
            await clock.sleep_until(6.0 * n)
        caught_up_s = clock.now()
        assert told.uploader.unsent_bytes == 0
        assert caught_up_s < 6.5 * 3_600
        assert told.stored == [f"{n:04}.ts" for n in range(3_900)]  # each once, the oldest first
        assert store.broken_promises == []
        assert (
            away.asked < 6 * 3_600 / 5
        )  # the slices together and the playlist: every few seconds, not thousands at once
        await told.uploader.close()

    run_virtual(main)


def test_the_backup_store_takes_over_after_a_minute_and_all_comes_back(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        store, backup = Watched(Away(clock, 100, 400)), Memory()
        told = Told(store, clock, backup)
        for n in range(100):
            told.uploader.put(item(tmp_path, f"{n:04}.ts"))
            await clock.sleep_until(6.0 * n)
            if 100 < clock.now() < 160:
                assert backup.list() == []
        in_backup = [key for key, where in told.by_store if where == "backup"]
        assert in_backup[0] == "0018.ts"  # the first that failed
        assert len(in_backup) >= 40
        assert backup.list() == [f"app/{key}" for key in sorted(in_backup)]
        assert sorted(told.stored) == [f"{n:04}.ts" for n in range(100)]
        assert told.uploader.unsent_bytes == 0
        await told.uploader.close()

    run_virtual(main)


def test_who_is_in_a_hurry_does_not_wait_a_minute(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        backup = Memory()
        told = Told(Watched(Away(clock, 0, 1e9)), clock, backup)
        told.uploader.put(item(tmp_path, "a.ts"))
        await clock.sleep_until(4)
        told.uploader.hurry()
        await clock.sleep_until(15)
        assert told.by_store == [("a.ts", "backup")]
        await told.uploader.close()

    run_virtual(main)


def test_who_is_in_a_hurry_neither_waits_for_a_storm_to_pass_nor_for_a_put_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a worker that drains: what began to fail only just now is in the backup store seconds later."""

    async def main(clock: VirtualClock) -> None:
        backup = Memory()
        store = Watched(Away(clock, 0, 1e9))
        told = Told(store, clock, backup)
        in_thread = clock.in_thread

        async def hangs(call: Callable[[], T]) -> T:
            if getattr(call, "func", None) == store.put and not backup.list():
                await clock.sleep_until(clock.now() + 48)
            return await in_thread(call)

        monkeypatch.setattr(clock, "in_thread", hangs)
        told.uploader.put(item(tmp_path, "hangs.ts"))
        await clock.sleep_until(1)
        told.uploader.hurry()
        await clock.sleep_until(8)
        assert told.by_store == [("hangs.ts", "backup")]
        monkeypatch.setattr(clock, "in_thread", in_thread)
        storm = Told(Watched(Away(clock, 0, 1e9)), clock, backup)
        for n in range(20):
            storm.uploader.put(item(tmp_path, f"{n}.ts"))
        await clock.sleep_until(10)
        storm.uploader.hurry()
        await clock.sleep_until(14)
        assert sorted(storm.by_store) == sorted((f"{n}.ts", "backup") for n in range(20))
        for each in (told, storm):
            await each.uploader.close()

    run_virtual(main)


def test_stores_that_are_both_away_lose_nothing(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        told = Told(Watched(Away(clock, 0, 1_000)), clock, Memory(Away(clock, 0, 500)))
        told.uploader.put(item(tmp_path, "a.ts"))
        await clock.sleep_until(499)
        assert told.by_store == []
        await clock.sleep_until(600)
        assert told.by_store == [("a.ts", "backup")]
        await clock.sleep_until(1_100)
        assert told.by_store == [("a.ts", "backup"), ("a.ts", "primary")]
        assert any("backup store" in error.text for error in told.trouble)
        await told.uploader.close()

    run_virtual(main)


def test_the_last_playlist_is_put_again_when_an_older_one_landed_behind_it() -> None:
    async def main(clock: VirtualClock) -> None:
        class Late(Watched):
            def put(self, key: str, source: Path | bytes, **more: Any) -> None:
                if not self.puts:  # given up by its sender, it lands a second after its successor
                    asyncio.get_running_loop().call_later(2.0, lambda: Memory.put(self, key, source, **more))
                    self.puts.append(key)
                    raise StoreUnavailable("no answer")
                super().put(key, source, **more)

        store = Late()
        told = Told(store, clock)
        told.uploader.writer_for(100)
        told.uploader.write(Text("k", "text/plain", "older", 1))
        await clock.sleep_until(0.01)
        told.uploader.write(Text("k", "text/plain", "last", 2, final=True))
        await clock.sleep_until(30)
        assert (store.get_range("k"), told.written[-1]) == (b"last", 2)
        await told.uploader.close()

    run_virtual(main)


def test_only_the_newest_document_goes_and_never_two_at_once() -> None:
    async def main(clock: VirtualClock) -> None:
        flying = 0

        class Slow(Watched):
            pass

        store = Slow()
        original = clock.in_thread

        async def slow(work):  # type: ignore[no-untyped-def]  # a generic callable, as in Clock
            nonlocal flying
            flying += 1
            assert flying == 1
            await clock.sleep_until(clock.now() + 1)
            flying -= 1
            return await original(work)

        clock.in_thread = slow  # type: ignore[method-assign]  # a put that takes a second
        told = Told(store, clock)
        told.uploader.writer_for(100)
        for rev in range(1, 50):
            told.uploader.write(Text("k", "text/plain", f"rev {rev}", rev))
            await clock.sleep_until(clock.now() + 0.1)
        await clock.sleep_until(clock.now() + 5)
        assert told.written == sorted(told.written)
        assert told.written[-1] == 49
        assert len(told.written) <= 7
        assert store.get_range("k") == b"rev 49"

    run_virtual(main)


def test_who_is_not_the_writer_writes_nothing_until_he_is() -> None:
    async def main(clock: VirtualClock) -> None:
        store = Watched()
        told = Told(store, clock)
        told.uploader.writer_for(6)
        told.uploader.writer_for(0)
        told.uploader.write(Text("k", "text/plain", "one", 1))
        await clock.sleep_until(30)
        assert store.list() == []
        told.uploader.writer_for(6)
        await clock.sleep_until(31)
        assert store.list() == ["k"]
        told.uploader.write(Text("k", "text/plain", "two", 2))
        await clock.sleep_until(32)
        told.uploader.write(Text("k", "text/plain", "three", 3))
        await clock.sleep_until(50)
        assert told.written == [1, 2, 3]
        told.uploader.write(Text("k", "text/plain", "four", 4))  # the lease has run out
        await clock.sleep_until(90)
        assert store.get_range("k") == b"three"
        await told.uploader.close()

    run_virtual(main)


def test_a_broken_store_module_is_heard_of(tmp_path: Path) -> None:
    class Broken(Memory):
        def put(self, *_: object, **__: object) -> None:
            raise TypeError("a bug")

    async def main(clock: VirtualClock) -> None:
        told = Told(Broken(), clock)
        path = tmp_path / "x.ts"
        path.write_bytes(b"x")
        told.uploader.put(Item("k", path, 1, hashlib.md5(b"x").hexdigest(), "video/mp2t"))
        await clock.sleep_until(1)
        assert [type(e) for e in told.crashes] == [TypeError]

    run_virtual(main)


def test_documents_that_the_worker_sends_are_put(tmp_path: Path) -> None:
    async def act(run: Run, clock: VirtualClock) -> None:
        run.keeper.say(pipe.Document(key="other.json", content_type="application/json", text="{}", rev=9))

    store = Watched()
    Run(tmp_path, spec(scene(tmp_path, user("a"), duration_s=2)), store).record(act)
    assert store.get_range("other.json") == b"{}"
