"""What the AAC encoder makes of sound: as true as asked, in frames that every decoder takes."""

from __future__ import annotations

from itertools import chain
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from models.vocabulary.spec import AudioSpec
from models.vocabulary.ticks import AAC_SAMPLES, SAMPLE_RATE
from tests.segment.scripted import spec
from workers.recorder.segment.encoding import Encode

#: ISO/IEC 14496-3 §4.5.3.1: of one channel's frame.
MOST_BITS = 6144
SECONDS = 2

Pcm = NDArray[np.float32]


def encoded(sound: Pcm, profile: int) -> list[bytes]:
    """AAC frames of the same sound in every channel."""
    wish = spec(streams=0).model_copy(update={"audio": AudioSpec.model_validate({"profile": profile})})
    encode = Encode(wish, 0)
    assert encode.audio is not None
    warm = -encode.next_audio
    silence = [np.zeros(AAC_SAMPLES, np.float32)] * warm
    frames = [*silence, *sound.reshape(-1, AAC_SAMPLES)]
    coded = [encode.sound(np.stack([frame] * wish.audio.channels)) for frame in frames]
    found = [bytes(it.packet) for it in chain(*coded, encode.flush())]
    encode.close()
    return found


def decoded(frames: list[bytes], profile: int) -> Pcm:
    context: Any = av.CodecContext.create("aac", "r")
    wish = AudioSpec.model_validate({"profile": profile})
    rate_index, channels = 3, wish.channels  # 48 kHz
    context.extradata = bytes([2 << 3 | rate_index >> 1, (rate_index & 1) << 7 | channels << 3])
    pieces = [frame.to_ndarray()[0] for packet in frames for frame in context.decode(av.Packet(packet))]
    return np.concatenate(pieces).astype(np.float32)


def voice() -> Pcm:
    """Vowels that come and go at a pitch that moves, and breath between."""
    count = SECONDS * SAMPLE_RATE // AAC_SAMPLES * AAC_SAMPLES
    at = np.arange(count) / SAMPLE_RATE
    phase = np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * at)) / SAMPLE_RATE
    vowels = sum(np.sin(2 * np.pi * k * phase) / k for k in range(1, 30))
    breath = np.convolve(np.random.default_rng(1).standard_normal(count), np.ones(16) / 16, "same")
    loud = np.clip(np.sin(2 * np.pi * 3 * at), 0, 1)
    return np.asarray(0.1 * loud * vowels + 0.02 * breath * (1 - loud), np.float32)


@pytest.mark.parametrize(("profile", "least_db", "most_kbps"), [(0, 26, 85), (1, 38, 190), (2, 33, 240)])
def test_a_voice_comes_out_as_it_went_in(profile: int, least_db: float, most_kbps: float) -> None:
    source = voice()
    frames = encoded(source, profile)
    found = decoded(frames, profile)[: len(source)]
    error = found[AAC_SAMPLES:] - source[AAC_SAMPLES : len(found)]
    assert 10 * np.log10(np.sum(source**2) / np.sum(error**2)) >= least_db
    assert sum(map(len, frames)) * 8 / SECONDS / 1000 <= most_kbps


@pytest.mark.parametrize("profile", [0, 1, 2])
@pytest.mark.parametrize("hard", ["noise", "clicks"])
def test_no_frame_is_larger_than_decoders_take(profile: int, hard: str) -> None:
    sound = np.zeros(48 * AAC_SAMPLES, np.float32)
    sound[::480] = 1
    if hard == "noise":
        sound = np.clip(np.random.default_rng(1).standard_normal(len(sound)), -1, 1).astype(np.float32)
    channels = 2 if profile == 2 else 1
    assert max(map(len, encoded(sound, profile))) * 8 <= MOST_BITS * channels
