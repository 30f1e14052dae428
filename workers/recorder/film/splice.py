"""Sound across a cut. An AAC frame holds half of its neighbour's, so those at the cut are made anew from what is whole."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

from models.vocabulary.ticks import AAC_SAMPLES, SAMPLE_RATE
from workers.recorder.mixer.planes import samples_of
from workers.recorder.segment.encoding import aac_options

#: So many frames on each side warm the encoder up: with 8 its seam lies at -61 dBFS (docs/design/recording-clock.md).
WARM: Final = 12
_ADTS_BYTES: Final = 7

Pcm = NDArray[np.float32]


def splice(
    before: Sequence[bytes], after: Sequence[bytes], mutes: int, *, channels: int, bps: int
) -> list[bytes] | None:
    """ADTS frames that replace the last of `before` and the first of `after`: 1 + `mutes`, the silence among them.

    None when either side is too short to be heard whole.
    """
    heard, comes = _decoded(before)[1:], _decoded(after)[1:]  # each side's first frame lacks the half before it
    if not heard or not comes:
        return None
    silence = np.zeros((channels, AAC_SAMPLES), np.float32)
    pcm = [*heard, *[silence] * mutes, *comes]
    coded = _encoded(pcm, channels, bps)
    at = len(heard) - 1
    return [_adts(after[0], coded[i]) for i in range(at, at + mutes + 1)]


def _decoded(frames: Sequence[bytes]) -> list[Pcm]:
    context = av.CodecContext.create("aac", "r")
    found: list[Pcm] = []
    for frame in frames:
        found += [_samples(sound) for sound in context.decode(av.Packet(frame)) if isinstance(sound, av.AudioFrame)]
    return found


def _samples(frame: av.AudioFrame) -> Pcm:
    return np.stack([samples_of(plane, frame.samples).copy() for plane in frame.planes])


def _encoded(pcm: Sequence[Pcm], channels: int, bps: int) -> dict[int, bytes]:
    """By index: packet i holds frames i and i + 1, as the recording's own encoder makes them."""
    context = av.CodecContext.create("aac", "w")
    assert isinstance(context, AudioCodecContext)
    layout = "stereo" if channels == 2 else "mono"
    context.sample_rate, context.layout, context.format, context.bit_rate = SAMPLE_RATE, layout, "fltp", bps
    context.time_base = Fraction(1, SAMPLE_RATE)
    context.options = aac_options()
    packets: list[Any] = []
    for i, samples in enumerate(pcm):
        frame = av.AudioFrame("fltp", layout, AAC_SAMPLES)
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, i * AAC_SAMPLES, Fraction(1, SAMPLE_RATE)
        for plane, channel in zip(frame.planes, samples, strict=True):
            samples_of(plane, AAC_SAMPLES)[:] = channel
        packets += context.encode(frame)
    packets += context.encode(None)
    return {packet.pts // AAC_SAMPLES: bytes(packet) for packet in packets}


def _adts(like: bytes, raw: bytes) -> bytes:
    """`raw` behind the header of another frame of the same stream (ISO/IEC 13818-7 §6.2), its 13 bits of length set."""
    header = bytearray(like[:_ADTS_BYTES])
    size = _ADTS_BYTES + len(raw)
    header[1] |= 1  # no checksum
    header[3] = header[3] & 0xFC | size >> 11
    header[4] = size >> 3 & 0xFF
    header[5] = header[5] & 0x1F | (size & 7) << 5
    return bytes(header) + raw
