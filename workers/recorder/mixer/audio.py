"""Sound: each track decoded and placed by its units' times, all added up, limited, read in AAC frames."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, cast

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.packet import Packet

from models.vocabulary.channel import Unit
from models.vocabulary.ticks import AAC_SAMPLES, SAMPLE_RATE, audio_tick, sample_at
from workers.recorder.mixer.concealment import FADES_SAMPLES, continued, period
from workers.recorder.mixer.decoding import OnWarning
from workers.recorder.mixer.placement import RESYNC_SAMPLES, Placed, Placement
from workers.recorder.mixer.planes import Samples, samples_of

_DECODERS: Final = {"opus": "opus", "aac": "aac", "pcmu": "pcm_mulaw", "pcma": "pcm_alaw", "g722": "adpcm_g722"}
#: Narrow-band codecs that do not say their rate themselves.
_RATES: Final = {"pcmu": 8000, "pcma": 8000, "g722": 16000}

#: By how much an Opus decoder's sound lags its unit's time: libopus' look-ahead, 6.5 ms (RFC 7845 §4.2).
_OPUS_DELAY: Final = 312
#: A unit's sound may be placed so much before its time: an Opus unit's by 6.5 ms, a jittering one's by the re-sync bound.
SOUND_AHEAD_90K: Final = (_OPUS_DELAY + RESYNC_SAMPLES) * 90 // 48
#: Units kept undecoded: 20 s of 20 ms units.
_MAX_UNITS: Final = 1000
_MAX_UNIT_BYTES: Final = 64 << 10
_HOPELESS: Final = 50
#: The ring: a unit has 120 ms at most (RFC 6716 §2.1.4), a stretch a little more, a frame 21 ms.
_RING: Final = 1 << 17
_REACH: Final = _RING // 2
#: AAC frames decoded ahead of the one that is read: a second; with a unit and a stretch behind it, less than the ring reaches.
_MOST_FRAMES: Final = SAMPLE_RATE // AAC_SAMPLES
#: Seams fade over 2.5 ms.
_FADE: Final = np.linspace(0.0, 1.0, 120, dtype=np.float32)
_FLOAT: Final = np.dtype(np.float32)
#: Up to here the limiter changes nothing.
_KNEE: Final = np.float32(0.8)


@dataclass(slots=True)
class AudioCounts:
    decoded: int = 0
    dropped: int = 0  # corrupt units, or one too many
    late: int = 0  # units of which a part came after its frame was made
    concealed: int = 0  # gaps that were covered


def limited(samples: Samples) -> Samples:
    """Into (-1, 1): unchanged up to the knee, bent smoothly above it. In place."""
    if samples.max() > _KNEE or samples.min() < -_KNEE:
        level = np.abs(samples)
        room = np.float32(1.0) - _KNEE
        bent = np.copysign(_KNEE + room * np.tanh((level - _KNEE) / room), samples)
        np.copyto(samples, bent, where=level > _KNEE)
    return samples


class Accumulator:
    """A ring of summed samples from a moving base on; what comes for before the base is late and left out."""

    def __init__(self, channels: int) -> None:
        self._sum = np.zeros((channels, _RING), np.float32)
        self._origin = 0  # sample at column 0
        self.base = 0  # first sample that is still to be read

    def start(self, sample: int) -> None:
        self._sum[:] = 0
        self._origin = self.base = sample

    def add(self, at: int, samples: Samples) -> bool:
        """Whether all of it came in time. What lies further ahead than the ring reaches is left out too."""
        count = samples.shape[1]
        if self.base <= at <= self.base + _REACH - count:
            column = at - self._origin
            there = self._sum[:, column : column + count]
            np.add(there, samples, there)
            return True
        first, last = max(at, self.base), min(at + count, self.base + _REACH)
        if first < last:
            column = first - self._origin
            self._sum[:, column : column + last - first] += samples[:, first - at : last - at]
        return first == at and last == at + count

    def read(self, count: int) -> Samples:
        """A copy of the next samples."""
        column = self.base - self._origin
        found = self._sum[:, column : column + count].copy()
        self.base += count
        if column + count > _RING // 2:
            self._rewind(column + count)
        return found

    def _rewind(self, used: int) -> None:
        self._sum[:, : _RING - used] = self._sum[:, used:].copy()
        self._sum[:, _RING - used :] = 0
        self._origin += used


class AudioTrack:
    """Decodes in one thread; raises nothing it meets in a unit."""

    def __init__(self, track: str, channels: int, on_warning: OnWarning) -> None:
        self.track = track
        self.counts = AudioCounts()
        self.last_unit_90k = 0
        self._channels, self._on_warning = channels, on_warning
        self._units: deque[tuple[int, Unit]] = deque()
        self._placement = Placement()
        self._last: Samples | None = None  # the newest samples that were placed
        self._last_end = 0  # behind them
        self._filled = 0  # behind what conceals that nothing follows them
        self._period = 0
        self._codec = ""
        self._context: AudioCodecContext | None = None
        self._resampler: AudioResampler | None = None
        self._seen_plain = False
        self._failures = 0
        self._lost = False
        self._reported = False

    def push(self, unit: Unit, at_90k: int) -> None:
        self.last_unit_90k = max(self.last_unit_90k, at_90k)
        if len(self._units) >= _MAX_UNITS or len(unit.data) > _MAX_UNIT_BYTES:
            self.counts.dropped += 1
            self._lost = True
            return
        self._units.append((at_90k, unit))

    def advance(self, tick_90k: int, into: Accumulator, frame_end: int) -> None:
        """Decode and place all units that begin before a tick; what the frame up to a sample lacks then is concealed."""
        units = self._units
        while units and units[0][0] < tick_90k:
            at_90k, unit = units.popleft()
            samples = self._decoded(unit)
            if samples is not None and samples.shape[1]:
                self._place(samples, sample_at(at_90k) - (_OPUS_DELAY if unit.codec == "opus" else 0), unit.gap, into)
        if self._filled < frame_end:
            self._conceal(frame_end, into)

    def close(self) -> None:
        self._context = self._resampler = None
        self._units.clear()

    def _place(self, samples: Samples, due: int, gap: bool, into: Accumulator) -> None:
        count = samples.shape[1]
        at = None if gap or self._lost else self._placement.follow(due, count)
        if at is None:
            self._put(samples, due, gap, into)
            return
        if not into.add(at, samples):
            self.counts.late += 1
        self._last, self._last_end, self._period = samples, at + count, 0
        self._filled = max(self._filled, self._last_end)

    def _put(self, samples: Samples, due: int, gap: bool, into: Accumulator) -> None:
        """What does not plainly go on: the first unit, one after a loss, one that drifts."""
        placed = self._placement.place(due, samples.shape[1], lost_before=gap or self._lost)
        self._lost = False
        if placed.length <= 0:
            return
        if placed.seam:
            self._conceal(placed.at, into, fade=True)
        samples = _fitted(samples, placed)
        if not into.add(placed.at, samples):
            self.counts.late += 1
        self._last, self._last_end, self._period = samples, placed.at + placed.length, 0
        self._filled = max(self._filled, self._last_end)

    def _conceal(self, to: int, into: Accumulator, *, fade: bool = False) -> None:
        """Go on as it sounded. `fade`: what comes at `to` fades in, so this fades out behind it."""
        start, end = max(self._filled, self._last_end), min(to, self._last_end + FADES_SAMPLES)
        if self._last is None or end <= start:
            return
        if self._period == 0:
            self._period = period(self._last)
            self.counts.concealed += 1
        tail = len(_FADE) if fade and end == to else 0
        made = continued(self._last, self._period, start - self._last_end, end + tail - start)
        if tail:
            made[:, -tail:] *= _FADE[::-1]
        into.add(start, made)
        self._filled = end

    def _decoded(self, unit: Unit) -> Samples | None:
        try:
            if unit.codec != self._codec or self._context is None:
                self._codec = unit.codec
                self._context, self._resampler = _opened(unit.codec, self._channels), None
                self._seen_plain = False
            frames = self._context.decode(Packet(unit.data))
            if self._seen_plain and len(frames) == 1 and unit.codec == "opus":
                self._failures = 0
                self.counts.decoded += 1
                return _rows(frames[0])  # nearly all: one decoder of Opus never changes what it gives
            pieces = [self._plain(frame) for frame in frames]
        except (av.FFmpegError, KeyError, ValueError):
            self._failed()
            return None
        if not pieces:
            return None
        self._failures = 0
        self.counts.decoded += 1
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)

    def _plain(self, frame: AudioFrame) -> Samples:
        """(channels, n) floats at 48 kHz."""
        wanted = "stereo" if self._channels == 2 else "mono"
        if self._codec == "opus" and self._seen_plain:
            return _rows(frame)
        if (frame.format.name, frame.sample_rate, frame.layout.name) == ("fltp", SAMPLE_RATE, wanted):
            self._seen_plain = True
            return _rows(frame)
        if self._resampler is None:
            self._resampler = AudioResampler("fltp", wanted, SAMPLE_RATE)
        frame.pts, frame.time_base = None, Fraction(1, frame.sample_rate)
        parts = [np.stack([samples_of(p, f.samples) for p in f.planes]) for f in self._resampler.resample(frame)]
        return np.concatenate(parts, axis=1) if parts else np.zeros((self._channels, 0), np.float32)

    def _failed(self) -> None:
        self.counts.dropped += 1
        self._failures += 1
        self._lost = True
        self._context = None
        if not self._reported and (self._failures >= _HOPELESS or self._codec not in _DECODERS):
            self._reported = True
            self._on_warning(f"track {self.track} cannot be decoded ({self._codec}) and is left out")


def _rows(frame: AudioFrame) -> Samples:
    """(channels, n) of planar floats; of one channel, without a copy."""
    planes, count = frame.planes, frame.samples
    if len(planes) == 1:
        return np.ndarray((1, count), _FLOAT, cast(memoryview, planes[0]))
    return np.stack([samples_of(plane, count) for plane in planes])


def _opened(codec: str, channels: int) -> AudioCodecContext:
    context = av.CodecContext.create(_DECODERS[codec], "r")
    assert isinstance(context, AudioCodecContext)
    context.thread_count = 1
    context.sample_rate = _RATES.get(codec, SAMPLE_RATE)
    context.layout = "stereo" if channels == 2 and codec not in _RATES else "mono"  # Opus itself mixes to what is asked
    return context


def _fitted(samples: Samples, placed: Placed) -> Samples:
    """The samples as `placed` says: cut, stretched by linear interpolation, faded in at a seam."""
    if placed.length == samples.shape[1] and not placed.seam:
        return samples  # nearly all
    samples = samples[:, placed.skip :]
    count = samples.shape[1]
    if count != placed.length:
        grid = np.linspace(0, count - 1, placed.length)
        samples = np.stack([np.interp(grid, np.arange(count), row) for row in samples]).astype(np.float32)
    if placed.seam:
        samples = samples.copy()
        ramp = _FADE[: samples.shape[1]]
        samples[:, : len(ramp)] *= ramp
    return samples


class Sound:
    """All tracks together. AAC frames are read one after the other."""

    def __init__(self, channels: int, first_frame: int, on_warning: OnWarning) -> None:
        self._channels, self._on_warning = channels, on_warning
        self._tracks: dict[str, AudioTrack] = {}
        self._sum = Accumulator(channels)
        self._sum.start(first_frame * AAC_SAMPLES)
        self._next = first_frame
        self._decoded = first_frame  # behind the last frame for which all units were decoded
        self._read = np.zeros(
            (channels, 0), np.float32
        )  # frames [_read_from, _read_to), limited: all that were decoded
        self._read_from = self._read_to = first_frame
        self._gone = AudioCounts()

    def push(self, unit: Unit, at_90k: int) -> None:
        track = self._tracks.get(unit.track)
        if track is None:
            track = self._tracks[unit.track] = AudioTrack(unit.track, self._channels, self._on_warning)
        track.push(unit, at_90k)

    def frame(self, j: int) -> Samples:
        """(channels, 1024) samples of AAC frame `j`; each must be asked for once, in order."""
        assert j == self._next, "AAC frames are read in order"
        if j >= self._read_to:
            self.decode(j + 1)
            self._read_from, self._read_to = j, self._decoded
            self._read = limited(self._sum.read((self._read_to - j) * AAC_SAMPLES))
        self._next += 1
        at = (j - self._read_from) * AAC_SAMPLES
        return self._read[:, at : at + AAC_SAMPLES]

    def decode(self, end: int) -> None:
        """Make ready all AAC frames before `end`, at most a second of them. What comes for them from now on is late."""
        end = min(end, self._next + _MOST_FRAMES)
        if end <= self._decoded:
            return
        self._decoded = end
        for track in self._tracks.values():
            track.advance(audio_tick(end) + SOUND_AHEAD_90K, self._sum, end * AAC_SAMPLES)

    def forget_silent(self, before_90k: int) -> None:
        """Close tracks that have sent nothing since a tick."""
        for track_id in [t.track for t in self._tracks.values() if t.last_unit_90k < before_90k]:
            track = self._tracks.pop(track_id)
            _add(self._gone, track.counts)
            track.close()

    def counts(self) -> AudioCounts:
        total = AudioCounts()
        for counts in (self._gone, *(track.counts for track in self._tracks.values())):
            _add(total, counts)
        return total


def _add(total: AudioCounts, counts: AudioCounts) -> None:
    total.decoded += counts.decoded
    total.dropped += counts.dropped
    total.late += counts.late
    total.concealed += counts.concealed
