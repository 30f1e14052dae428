"""Who plays in the demo, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workers.synthetic.plan import MediaPlan

CNAME: Final = "demo"
RECORDER_UID: Final = "900001"
#: The recorded canvas: best fit, so that one, two and three people stand in cells of different shapes.
WIDTH: Final = 960
HEIGHT: Final = 540
FPS: Final = 15
BITRATE_KBPS: Final = 1200
BEST_FIT: Final = 1


@dataclass(frozen=True, slots=True)
class Player:
    uid: str
    plan: MediaPlan
    enters_s: float  # after the first
    leaves_s: float | None = None


PLAYERS: Final = (
    Player("1001", MediaPlan(1, colour="#20639b", name="Ada"), enters_s=0.0),
    Player("1002", MediaPlan(2, colour="#b5482f", name="Grace"), enters_s=0.0, leaves_s=12.0),
    Player("1003", MediaPlan(3, colour="#2f7d4f", name="Linus"), enters_s=3.0),
)
