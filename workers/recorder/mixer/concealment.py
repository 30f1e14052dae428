"""What to hear where a user's sound is missing: his voice goes on at its pitch, and is gone within 60 ms. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.vocabulary.ticks import SAMPLE_RATE
from workers.recorder.mixer.planes import Samples

#: So long the voice goes on, more and more faintly; longer sounds like a machine.
FADES_SAMPLES: Final = SAMPLE_RATE * 60 // 1000
#: Pitches from 50 to 400 Hz.
_SHORTEST: Final = SAMPLE_RATE // 400
_LONGEST: Final = SAMPLE_RATE // 50


def period(last: Samples) -> int:
    """The length of one period of the end of a stretch of sound: that which lies most like what lies before it."""
    voice = last[0, -2 * _LONGEST :]
    longest = min(_LONGEST, len(voice) // 2)
    if longest <= _SHORTEST:
        return max(1, longest)
    end = voice[-longest:]
    best, found = -1.0, longest
    for lag in range(_SHORTEST, longest + 1):
        before = voice[len(voice) - longest - lag : len(voice) - lag]
        energy = float(before @ before)
        likeness = float(end @ before) / np.sqrt(energy) if energy > 0 else 0.0
        if likeness > best * 1.001:
            best, found = likeness, lag
    return found


def continued(last: Samples, period_samples: int, skip: int, count: int) -> Samples:
    """(channels, count): what follows `last` after `skip` samples that were already made so."""
    at = skip + np.arange(count)
    repeated = last[:, last.shape[1] - period_samples + at % period_samples]
    faint = np.maximum(0, 1 - at / FADES_SAMPLES).astype(np.float32)
    made: Samples = repeated * faint
    return made
