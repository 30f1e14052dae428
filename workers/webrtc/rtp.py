"""One RTP stream to whole encoded units, in order. Pure: packets and times in; units, and what to ask the sender for, out.

A lost packet is asked for again (NACK) until a deadline; then what depended on it is dropped: a picture stream goes on
at its next key unit, which is asked for (PLI), a sound stream at the next packet. The first unit after a loss says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from workers.webrtc.payload import VIDEO_CODECS, ParameterSets, Whole, depacketized, opus_whole, vp8_whole

#: The mixer's playout delay is at least this plus 200 ms.
DEADLINE_S: Final = 0.4
NACK_EVERY_S: Final = 0.06
PLI_EVERY_S: Final = 0.5
#: A jump of sequence numbers this long is a new start of the stream, not a loss (RFC 3550 A.1, MAX_DROPOUT).
_RESTART_PACKETS: Final = 3000
#: A second of 4K at 12 Mb/s is some 1200 packets; more can only wait because something older is missing.
_MAX_WAITING: Final = 2000
#: Missing packets asked for at once; more will not come again in time.
_MAX_NACKED: Final = 200
_MAX_UNIT_BYTES: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Assembled:
    """One access unit. `rtp_time` is the RTP timestamp as given; the key unit of a cut is known by it."""

    payload: bytes
    rtp_time: int
    key: bool
    gap: bool
    duration_s: float | None


@dataclass(slots=True)
class Asks:
    """What to send the publisher now."""

    nack: list[int]
    pli: bool


@dataclass(slots=True)
class Counts:
    packets: int = 0
    lost: int = 0
    late: int = 0
    nacked: int = 0
    plis: int = 0
    dropped_units: int = 0


@dataclass(frozen=True, slots=True)
class _Packet:
    rtp_time: int
    marker: bool
    payload: bytes


@dataclass(slots=True)
class _Missing:
    since: float
    asked_at: float | None = None


class RtpStream:
    """`codec`: h264, vp8 or opus. `rtp_time`s are any integers; only their equality matters here."""

    def __init__(self, codec: str, deadline_s: float = DEADLINE_S) -> None:
        self._video = codec in VIDEO_CODECS
        self._codec = codec
        self._deadline_s = deadline_s
        self._whole: Callable[[bytes], Whole | None] = {
            "h264": ParameterSets().whole,
            "vp8": vp8_whole,
            "opus": opus_whole,
        }[codec]
        self._waiting: dict[int, _Packet] = {}  # by sequence number without wraps
        self._missing: dict[int, _Missing] = {}
        self._next: int | None = None
        self._highest = 0
        self._strays: list[int] = []  # numbers outside the window that follow each other: the stream starts anew
        self._unit: list[bytes] = []
        self._unit_time: int | None = None
        self._unit_bytes = 0
        self._broken = self._video  # a packet of the unit being gathered is missing; a stream may start inside a unit
        self._closed_time: int | None = None  # of the unit that ended last
        self._gap = False
        self._need_key = self._video
        self._key_wanted = self._video
        self._pli_at: float | None = None
        self.counts = Counts()

    def packet(self, sequence: int, rtp_time: int, marker: bool, payload: bytes, now: float) -> list[Assembled]:
        """Units that this packet completes."""
        self.counts.packets += 1
        number = self._number(sequence)
        if number is None:
            return []
        assert self._next is not None
        if number < self._next or number in self._waiting:
            self.counts.late += 1
            return []
        for lost in range(self._highest + 1, number):
            self._missing[lost] = _Missing(now)
        self._missing.pop(number, None)
        self._highest = max(self._highest, number)
        self._waiting[number] = _Packet(rtp_time, marker, payload)
        return list(self._ready(now))

    def tick(self, now: float) -> list[Assembled]:
        """Units that a passed deadline sets free. To be called every 20 to 50 ms."""
        return list(self._ready(now))

    def asks(self, now: float) -> Asks:
        """To be sent now; asking counts as sent."""
        due = [n for n, m in self._missing.items() if m.asked_at is None or now - m.asked_at >= NACK_EVERY_S]
        due = due[-_MAX_NACKED:] if self._video else []
        for number in due:
            self._missing[number].asked_at = now
        pli = self._key_wanted and (self._pli_at is None or now - self._pli_at >= PLI_EVERY_S)
        if pli:
            self._pli_at = now
            self.counts.plis += 1
        self.counts.nacked += len(due)
        return Asks([number & 0xFFFF for number in due], pli)

    @property
    def asking(self) -> bool:
        """Whether `tick` and `asks` have anything to do."""
        return self._key_wanted or bool(self._missing) or bool(self._waiting)

    def want_key(self) -> None:
        """Ask for a key unit, again and again until one is there."""
        self._key_wanted = self._video

    def _number(self, sequence: int) -> int | None:
        """The sequence number without wraps; None for a stray. Two strays in a row restart the stream (RFC 3550 A.1)."""
        if self._next is None:
            self._next, self._highest = sequence, sequence - 1
            return sequence
        number = self._highest + ((sequence - self._highest + 0x8000) % 0x10000 - 0x8000)
        if self._next - _RESTART_PACKETS <= number <= self._highest + _RESTART_PACKETS:
            self._strays.clear()
            return number
        if self._strays and sequence == (self._strays[-1] + 1) & 0xFFFF:
            self._restart(sequence)
            return sequence
        self._strays = [sequence]
        return None

    def _restart(self, sequence: int) -> None:
        self._waiting.clear()
        self._missing.clear()
        self._strays.clear()
        self._lose()
        self._unit_time = self._closed_time = None
        self._unit, self._unit_bytes = [], 0
        self._next, self._highest = sequence, sequence - 1

    def _ready(self, now: float) -> Iterator[Assembled]:
        assert self._next is not None or not self._waiting
        while self._waiting and self._next is not None:
            packet = self._waiting.pop(self._next, None)
            if packet is None:
                missing = self._missing.get(self._next)
                overdue = missing is None or now - missing.since >= self._deadline_s
                if not overdue and len(self._waiting) < _MAX_WAITING:
                    return
                self._missing.pop(self._next, None)
                self.counts.lost += 1
                self._lose()
            else:
                yield from self._take(packet)
            self._next += 1

    def _lose(self) -> None:
        self._broken = self._gap = True
        self._need_key = self._key_wanted = self._video

    def _take(self, packet: _Packet) -> Iterator[Assembled]:
        if not packet.payload or (self._video and packet.rtp_time == self._closed_time):
            return  # padding (RFC 3550 §5.1), or a part of a unit that has ended
        if self._unit_time is not None and packet.rtp_time != self._unit_time:
            broken = self._broken
            yield from self._close()
            self._broken = broken  # what is missing may have been the first packet of this unit
        try:
            piece = depacketized(self._codec, packet.payload)
        except ValueError:
            self._lose()
            return
        if self._unit_time is None or (self._broken and piece.first):
            self._unit_time = packet.rtp_time
            # What was lost lies before this unit when the packet is surely its first.
            self._unit, self._unit_bytes, self._broken = [], 0, self._broken and not piece.first
        self._unit.append(piece.payload)
        self._unit_bytes += len(piece.payload)
        if self._unit_bytes > _MAX_UNIT_BYTES:
            self._unit, self._unit_bytes = [], 0
            self._lose()
        if packet.marker or not self._video:
            yield from self._close()

    def _close(self) -> Iterator[Assembled]:
        assert self._unit_time is not None
        rtp_time, broken, gathered = self._unit_time, self._broken, b"".join(self._unit)
        self._unit, self._unit_bytes, self._unit_time, self._broken = [], 0, None, False
        if broken:
            self._closed_time = rtp_time
            self.counts.dropped_units += 1
            return
        try:
            whole = self._whole(gathered)
        except ValueError:
            self._lose()
            self._broken = False  # a whole unit was lost, not a part of the next
            return
        if whole is None:
            return  # parameter sets alone; their picture may come under the same time
        self._closed_time = rtp_time
        if self._need_key and not whole.key:
            self.counts.dropped_units += 1
            return
        gap, self._gap = self._gap, False
        if whole.key:
            self._need_key = self._key_wanted = False
        yield Assembled(whole.payload, rtp_time, whole.key, gap, whole.duration_s)
