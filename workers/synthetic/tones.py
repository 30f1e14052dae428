"""The sound of a second: a beep of its user's own pitch at its very start, then the second's number in tones.

Every pitch is a multiple of 100 Hz, so a window of 10 ms that listens to one hears nothing of the others. User n beeps
at 500 + 300 · ((n − 1) mod 16) Hz for 80 ms. From 160 ms on 12 bits of 40 ms follow, 100 Hz above the beep for 0 and 200 Hz
above it for 1: 8 bits of the second's number modulo 256, most significant first, and 4 of a check over them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from models.vocabulary.ticks import SAMPLE_RATE

Samples = npt.NDArray[np.float32]

BEEP_MS: Final = 80
CODE_FROM_MS: Final = 160
BIT_MS: Final = 40
BITS: Final = 12
AMPLITUDE: Final = 0.12
_RAMP_MS: Final = 1
_MS: Final = SAMPLE_RATE // 1000
_WINDOW_MS: Final = 10
#: Beeps are heard down to this amplitude.
_FAINTEST: Final = 0.01
#: A bit counts when one of its pitches is so much louder than the other.
_CLEAR: Final = 1.5


@dataclass(frozen=True, slots=True)
class Beep:
    at_s: float  # onset, ± 2 ms
    second: int | None  # modulo 256; None: the tones after it cannot be read


def pitch_hz(user_no: int) -> int:
    return 500 + 300 * ((user_no - 1) % 16)


def second_of(user_no: int, number: int) -> Samples:
    """One second of mono sound at 48 kHz."""
    sound = np.zeros(SAMPLE_RATE, np.float32)
    base_hz = pitch_hz(user_no)
    _add(sound, 0, BEEP_MS, base_hz)
    for n, bit in enumerate(_bits(number)):
        _add(sound, CODE_FROM_MS + n * BIT_MS, BIT_MS, base_hz + (200 if bit else 100))
    return sound


def find(sound: Samples, user_no: int) -> list[Beep]:
    """Every beep of a user in mono sound at 48 kHz; times from its first sample."""
    base_hz = pitch_hz(user_no)
    beep, zero, one = (_loudness(sound, hz) for hz in (base_hz, base_hz + 100, base_hz + 200))
    level = _level(beep)
    if level < _FAINTEST:
        return []
    return [
        Beep(_crossing_ms(beep, start, level / 2) / 1000, _number(zero, one, start))
        for start, end in _runs(beep > level / 2)
        if BEEP_MS * 0.6 <= end - start <= BEEP_MS * 1.4
    ]


def _add(sound: Samples, from_ms: int, length_ms: int, hz: int) -> None:
    at = np.arange(from_ms * _MS, (from_ms + length_ms) * _MS)
    edge = np.minimum(np.arange(at.size) + 0.5, np.arange(at.size)[::-1] + 0.5) / (_RAMP_MS * _MS)
    sound[at] += AMPLITUDE * np.minimum(1, edge) * np.sin(2 * np.pi * hz * at / SAMPLE_RATE)


def _bits(number: int) -> list[int]:
    number %= 256
    check = (number >> 4 ^ number ^ 0b1010) & 0xF
    return [int(bit) for bit in f"{number:08b}{check:04b}"]


def _loudness(sound: Samples, hz: int) -> npt.NDArray[np.float64]:
    """Amplitude of a pitch in the 10 ms round each whole millisecond."""
    count = sound.size // _MS
    turn = np.exp(-2j * np.pi * hz * np.arange(_MS) / SAMPLE_RATE)
    per_ms = sound[: count * _MS].reshape(count, _MS) @ turn
    per_ms *= np.exp(-2j * np.pi * hz * np.arange(count) / 1000)
    half = _WINDOW_MS // 2
    total = np.concatenate([[0], np.cumsum(np.pad(per_ms, half))])
    summed = total[_WINDOW_MS:] - total[:-_WINDOW_MS]
    loudness: npt.NDArray[np.float64] = np.abs(summed[:count]) * 2 / (_WINDOW_MS * _MS)
    return loudness


def _level(loudness: npt.NDArray[np.float64]) -> float:
    """What is reached for at least half a beep, so that no click sets the level."""
    rank = BEEP_MS // 2
    return float(np.partition(loudness, -rank)[-rank]) if loudness.size > rank else 0.0


def _runs(loud: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _crossing_ms(loudness: npt.NDArray[np.float64], at: int, level: float) -> float:
    """Where the loudness passed `level` on its way to index `at`; half of a window is onset."""
    if at == 0:
        return 0.0
    before, after = loudness[at - 1], loudness[at]
    return at - float((after - level) / (after - before))


def _number(zero: npt.NDArray[np.float64], one: npt.NDArray[np.float64], start: int) -> int | None:
    value = 0
    for n in range(BITS):
        middle = start + CODE_FROM_MS + n * BIT_MS + BIT_MS // 2
        if middle + 5 > zero.size:
            return None
        low, high = zero[middle - 5 : middle + 5].mean(), one[middle - 5 : middle + 5].mean()
        if max(low, high) < _FAINTEST or max(low, high) < _CLEAR * min(low, high):
            return None
        value = value << 1 | int(high > low)
    number = value >> 4
    return number if _bits(number)[8:] == [value >> n & 1 for n in (3, 2, 1, 0)] else None
