"""Two publishers of a WHIP room, each recorded by himself through the whole farm: nearly every unit that they sent."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from farm.publisher.publisher import SyntheticPublisher
from tests.farm.conftest import QUICK
from tests.farm.processes import UpFarm
from tests.farm.singles import SINGLE, Held, Sent, held, started
from workers.synthetic.plan import MediaPlan

PLANS = {uid: MediaPlan(n, codec, 320, 180, 30) for n, uid, codec in ((1, "ada", "h264"), (2, "bea", "vp8"))}  # type: ignore[arg-type]  # codecs


@pytest.mark.slow
def test_whoever_publishes_by_whip_is_recorded_by_himself(tmp_path: Path) -> None:
    sent: dict[str, Sent] = {}
    had: dict[str, Held] = {}

    async def story(farm: UpFarm) -> None:
        take = await asyncio.to_thread(started, farm.backend, "lesson", "2", "individual", SINGLE)
        users = {}
        for uid, plan in PLANS.items():
            wish = {"cname": "lesson", "uid": uid, "ttl_s": 60}
            minted = (await asyncio.to_thread(farm.backend.request, "POST", "/whip-tokens", wish)).json()
            users[uid] = SyntheticPublisher(minted["url"], minted["token"], plan)
            await users[uid].open()
        await asyncio.to_thread(take.until_more, 12, 30)
        sent.update({uid: Sent.by(user) for uid, user in users.items()})
        answer = await asyncio.to_thread(take.stop)
        assert answer.status_code == 200, answer.text
        for uid, user in users.items():
            await user.close()
            had[uid] = await asyncio.to_thread(held, farm.store, take, uid, PLANS[uid])
        assert take.told()["status"] == 8

    farm = UpFarm(tmp_path / "farm", env=QUICK)
    try:
        asyncio.run(story(farm))
    finally:
        farm.close()
    for uid in PLANS:
        assert min(had[uid].pcts_of(sent[uid])) >= 99.5, (uid, had[uid].pcts_of(sent[uid]))
