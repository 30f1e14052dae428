"""The sound of a recording, and whose beeps are in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import av
import numpy as np

from farm.judge.transport import packets_of, unwrap
from models.vocabulary.ticks import AAC_TICKS, LEAD_90K, SAMPLE_RATE, TICKS_PER_S, seconds
from workers.synthetic.tones import Beep, Samples, find

#: Listened to at once, and by how much the next piece overlaps: the whole code of a second that begins in this one.
_PIECE_S: Final = 30
_OVERLAP_S: Final = 1
#: Two onsets of one user that are nearer than this are one beep heard in two pieces.
_SAME_S: Final = 0.05


def stretches(paths: Sequence[Path]) -> Iterator[tuple[float, Samples]]:
    """(seconds on the recording clock, mono sound at 48 kHz): pieces that overlap, and break where the sound does."""
    kept: list[Samples] = []
    start_90k = expected_90k = 0
    for at_90k, sound in _decoded(paths):
        if kept and at_90k != expected_90k:
            yield seconds(start_90k), np.concatenate(kept)
            kept = []
        if not kept:
            start_90k = at_90k
        kept.append(sound)
        expected_90k = at_90k + AAC_TICKS
        if at_90k - start_90k >= (_PIECE_S + _OVERLAP_S) * TICKS_PER_S:
            whole = np.concatenate(kept)
            yield seconds(start_90k), whole
            kept = [whole[_PIECE_S * SAMPLE_RATE :]]
            start_90k += _PIECE_S * TICKS_PER_S
    if kept:
        yield seconds(start_90k), np.concatenate(kept)


def beeps(paths: Sequence[Path], user_nos: Iterable[int]) -> dict[int, list[Beep]]:
    """Every user's beeps, with times on the recording clock."""
    found: dict[int, list[Beep]] = {user_no: [] for user_no in user_nos}
    for at_s, sound in stretches(paths):
        for user_no, heard in found.items():
            for beep in find(sound, user_no):
                _add(heard, Beep(at_s + beep.at_s, beep.second))
    return found


def _add(heard: list[Beep], beep: Beep) -> None:
    """A beep at a piece's end is heard again in the next one, where its code is whole."""
    if heard and abs(beep.at_s - heard[-1].at_s) < _SAME_S:
        if heard[-1].second is None:
            heard[-1] = beep
        return
    if not heard or beep.at_s > heard[-1].at_s:
        heard.append(beep)


def _decoded(paths: Sequence[Path]) -> Iterator[tuple[int, Samples]]:
    """AAC frames by one decoder, as a player would; a new one where the times jump."""
    decoder: av.AudioCodecContext | None = None
    near = expected_90k = 0
    for path in paths:
        for packet, is_video in packets_of(path):
            if is_video or packet.pts is None:
                continue
            near = unwrap(packet.pts, near)
            if decoder is None or near != expected_90k:
                decoder = _decoder(packet.stream.codec_context.name)
            expected_90k = near + AAC_TICKS
            for frame in decoder.decode(av.Packet(bytes(packet))):
                yield near - LEAD_90K, _mono(frame)


def _decoder(name: str) -> av.AudioCodecContext:
    decoder = av.CodecContext.create(name, "r")
    assert isinstance(decoder, av.AudioCodecContext)
    return decoder


def _mono(frame: av.AudioFrame) -> Samples:
    mono: Samples = frame.to_ndarray().astype(np.float32).mean(axis=0)
    return mono
