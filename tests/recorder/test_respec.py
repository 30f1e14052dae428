"""A store's token runs out in the middle; the update that brings a new one lets everything through."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from models.vocabulary import pipe
from models.vocabulary.errors import StoreTokenExpired
from models.vocabulary.spec import RecordingSpec, Secrets, StoreKeys
from stores.base import Store
from stores.folder import Folder
from tests.recorder.virtual import Run, scene, spec, user
from workers.recorder.clock import VirtualClock
from workers.recorder.recorder import Recorder

REFRESHED_AT_S = 20.0


class Expiring(Folder):
    """Takes documents and the first slice, then its token has run out."""

    slices = 0

    def put(self, key: str, *args: Any, **kwargs: Any) -> Any:
        if key.endswith(".ts"):
            self.slices += 1
            if self.slices > 1:
                raise StoreTokenExpired
        return super().put(key, *args, **kwargs)


class Refreshed(Run):
    def recorder(self, clock: VirtualClock, **begin: Any) -> Recorder:
        told = self.keeper.begin(clock.wall_ms(), **begin)

        def open_store(_spec: RecordingSpec, secrets: Secrets) -> Store:
            return Folder(self.out) if secrets.store.session_token == "new" else Expiring(self.out)

        chance = random.Random(1).random
        return Recorder(told, self.keeper, self.keeper.messages(), clock, chance, open_store=open_store)


def test_new_keys_reach_the_uploads_that_wait_for_them(tmp_path: Path) -> None:
    wanted = spec(scene(tmp_path, user("a"), duration_s=30), slice_s=2)
    stored: list[int] = []

    async def act(run: Run, clock: VirtualClock) -> None:
        await clock.sleep_until(REFRESHED_AT_S)
        stored.append(len(run.keeper.stored))
        keys = Secrets(store=StoreKeys(access_key="k", secret_key="s", session_token="new"))
        run.keeper.say(pipe.Spec(gen=2, spec=wanted, secrets=keys))

    run = Refreshed(tmp_path, wanted).record(act)
    assert stored == [1]
    verdict = run.judge()
    assert (run.code, verdict.violations, verdict.holes, verdict.frames) == (0, (), (), 450)
    assert {fault.code for fault in run.keeper.faults} == {32}
