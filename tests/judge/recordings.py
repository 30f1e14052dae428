"""Makes small real recordings, right ones and wrong ones: x264 and AAC in one mpegts file a piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from models.vocabulary.playlist import Entry, render
from models.vocabulary.ticks import AAC_SAMPLES, AAC_TICKS, LEAD_90K, SAMPLE_RATE, audio_frame_from, frame_tick
from workers.synthetic.marker import View
from workers.synthetic.pictures import Painter
from workers.synthetic.plan import MediaPlan
from workers.synthetic.planes import view
from workers.synthetic.tones import Samples, second_of

FPS = 15
WIDTH, HEIGHT = 180, 320
T0_MS = 1_767_225_600_000
PLANS = (
    MediaPlan(1, width=320, height=180, name="Ann", colour="#c1121f"),
    MediaPlan(2, width=320, height=180, name="Ben", colour="#2a6f97"),
)
VIEWS = (View(0, 0, 180, 160, 320, 180), View(0, 160, 180, 160, 320, 180))
_TS = {
    "mpegts_flags": "initial_discontinuity",
    "mpegts_copyts": "1",
    "avoid_negative_ts": "disabled",
    "flush_packets": "1",
}
_X264 = {"preset": "veryfast", "sc_threshold": "0", "forced-idr": "1", "keyint_min": "1", "g": "10000"}


@dataclass(frozen=True)
class Piece:
    """Frames [first, end) as one file, and what is wrong with it."""

    first: int
    end: int
    skip: frozenset[int] = frozenset()  # frames that are never drawn
    frozen: frozenset[int] = frozenset()  # frames that show what the one before showed
    headless: bool = False  # its first frame is no IDR
    sound_late: int = 0  # AAC frames by which the sound starts late
    options: dict[str, str] = field(default_factory=lambda: dict(_TS))
    sound_shift_ms: int = 0


def record(folder: Path, pieces: Sequence[Piece], *, base_90k: int = 0) -> Path:
    """Write the pieces and their playlist. `base_90k`: added to every time in the files."""
    entries = []
    for n, piece in enumerate(pieces):
        name = f"piece{n:03d}.ts"
        _write(folder / name, piece, base_90k)
        entries.append(Entry(frame_tick(piece.first, FPS), frame_tick(piece.end, FPS), name))
    playlist = folder / "recording.m3u8"
    playlist.write_text(render(entries, t0_ms=T0_MS, slice_s=2, ended=True))
    return playlist


def edit(playlist: Path, old: str, new: str, count: int = 1) -> None:
    text = playlist.read_text()
    assert old in text
    playlist.write_text(text.replace(old, new, count))


def _write(path: Path, piece: Piece, base_90k: int) -> None:
    with (
        av.open("/dev/null", "w", format="null") as encoders,
        av.open(str(path), "w", format="mpegts", options=piece.options) as out,
    ):
        video: Any = encoders.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt, video.bit_rate = WIDTH, HEIGHT, "yuv420p", 300_000
        video.codec_context.options, video.codec_context.thread_count = _X264, 1
        video.codec_context.time_base = Fraction(1, FPS)
        audio: Any = encoders.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        audio.bit_rate, audio.codec_context.options = 48_000, {"aac_coder": "fast"}
        audio.codec_context.time_base = Fraction(1, SAMPLE_RATE)
        encoders.start_encoding()
        out_video, out_audio = out.add_stream_from_template(video), out.add_stream_from_template(audio)
        packets = [(packet, out_video) for packet in _video(video.codec_context, piece, base_90k)]
        packets += [(packet, out_audio) for packet in _audio(audio.codec_context, piece, base_90k)]
        for packet, stream in sorted(packets, key=lambda it: it[0].dts):
            packet.stream = stream
            out.mux(packet)


def _video(encoder: Any, piece: Piece, base_90k: int) -> Iterator[Any]:
    painters = [Painter(plan) for plan in PLANS]
    first = piece.first - piece.headless
    made = []
    for n in range(first, piece.end):
        if n in piece.skip:
            continue
        frame = _canvas(painters, n - 1 if n in piece.frozen else n)
        frame.pts, frame.time_base = n, Fraction(1, FPS)
        frame.pict_type = av.video.frame.PictureType.I if n == first else av.video.frame.PictureType.NONE
        made += encoder.encode(frame)
    made += encoder.encode(None)
    for packet in made:
        if packet.pts < piece.first:
            continue
        packet.time_base = Fraction(1, 90_000)
        packet.pts = base_90k + LEAD_90K + frame_tick(packet.pts, FPS)
        packet.dts = base_90k + LEAD_90K + packet.dts * 90_000 // FPS
        yield packet


def _canvas(painters: Sequence[Painter], n: int) -> av.VideoFrame:
    canvas = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    for painter, cell in zip(painters, VIEWS, strict=True):
        scaled = painter.paint(2 * n).reformat(284, 160, interpolation="AREA")
        for depth, (to, of) in enumerate(zip(canvas.planes, scaled.planes, strict=True)):
            half = 2 if depth else 1
            left = (284 - cell.w) // 2 // half
            view(to)[cell.y // half : (cell.y + cell.h) // half] = view(of)[:, left : left + cell.w // half]
    return canvas


def _audio(encoder: Any, piece: Piece, base_90k: int) -> Iterator[Any]:
    first = audio_frame_from(frame_tick(piece.first, FPS)) + piece.sound_late
    end = audio_frame_from(frame_tick(piece.end, FPS))
    made = []
    for j in range(first - 24, end + 2):
        frame = av.AudioFrame.from_ndarray(_sound(j, piece.sound_shift_ms)[None], "fltp", "mono")
        frame.sample_rate, frame.time_base, frame.pts = SAMPLE_RATE, Fraction(1, SAMPLE_RATE), j * AAC_SAMPLES
        made += encoder.encode(frame)
    made += encoder.encode(None)
    for packet in made:
        j = packet.pts // AAC_SAMPLES
        if first <= j < end:
            packet.time_base = Fraction(1, 90_000)
            packet.pts = packet.dts = base_90k + LEAD_90K + j * AAC_TICKS
            yield packet


def _sound(j: int, shift_ms: int) -> Samples:
    """1024 samples of all users' sound."""
    at = np.arange(j * AAC_SAMPLES, (j + 1) * AAC_SAMPLES) - shift_ms * SAMPLE_RATE // 1000
    second = int(at[0] // SAMPLE_RATE)
    mixed = np.zeros(AAC_SAMPLES, np.float32)
    for plan in PLANS:
        two = np.concatenate([second_of(plan.user_no, n % plan.loop_s) for n in (second, second + 1)])
        mixed += two[at - second * SAMPLE_RATE]
    return mixed
