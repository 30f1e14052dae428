"""What a picture of some size needs, by the contract's table of profiles (§5): only to warn of bit rates far off it. Pure."""

from __future__ import annotations

from bisect import bisect_left
from math import exp, log
from typing import Final

from models.vocabulary.spec import VideoSpec

#: (pixels, kbit/s at 15 fps) of the table's base column; live channels take twice that.
_BASE: Final = (
    (160 * 120, 65),
    (320 * 240, 200),
    (640 * 360, 400),
    (640 * 480, 500),
    (1280 * 720, 1130),
    (1920 * 1080, 2080),
)
#: 30 fps take half as much again, 5 fps half: the rate's power.
_FPS_POWER: Final = 0.585
#: Below this part of the base, and above so many times the live rate, somebody has mistaken a unit.
_TOO_LITTLE: Final = 1 / 3
_TOO_MUCH: Final = 3.0


def base_kbps(video: VideoSpec) -> float:
    """Between the table's sizes and rates, by powers."""
    pixels = max(1, video.width * video.height)
    i = min(max(1, bisect_left([size for size, _ in _BASE], pixels)), len(_BASE) - 1)
    (small, low), (large, high) = _BASE[i - 1], _BASE[i]
    at = log(pixels / small) / log(large / small)
    return low * exp(at * log(high / low)) * exp(_FPS_POWER * log(video.fps / 15))


def far_off(video: VideoSpec) -> str | None:
    """A sentence for the record, or None."""
    base, kbps = base_kbps(video), video.bitrate_bps / 1000
    if base * _TOO_LITTLE <= kbps <= 2 * base * _TOO_MUCH:
        return None
    size = f"{video.width}x{video.height} at {video.fps} fps"
    return f"{kbps:.0f} kbit/s is far off what {size} takes: {base:.0f} to {2 * base:.0f}"
