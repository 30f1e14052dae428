"""The past of a recorder: from where it goes on, as its worker tells it and as an earlier process of its spool left it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import av

from models.vocabulary import keys, pipe
from models.vocabulary.errors import DiskFull
from models.vocabulary.spec import Mode
from workers.recorder.aftermath import RECOVERED, Aftermath, start_of
from workers.recorder.individual.ensemble import Before
from workers.recorder.individual.recovery import recover_stream
from workers.recorder.segment.recovery import recover
from workers.recorder.segment.slices import ClosedSlice, OnSlice

BROKEN: Final = ".broken"


class Past:
    """`t0_ms` is the recording's zero; `held_90k`: on hold since this edge; `died_at_90k`: an earlier process of this
    spool got so far. None each: there is none.
    """

    def __init__(self, begin: pipe.Begin, found: Aftermath) -> None:
        self._begin = begin
        self._opened = found.opened
        self._ends_90k = found.ends_90k
        self.t0_ms = begin.t0_ms if begin.t0_ms is not None else found.t0_ms
        self.held_90k = found.held_90k if begin.held_90k is None else begin.held_90k
        self.died_at_90k = begin.resume_at_90k if found.began and found.end_90k is None else found.end_90k

    @property
    def resume_at_90k(self) -> int:
        return max(self._begin.resume_at_90k, self.died_at_90k or 0)

    @property
    def before(self) -> Before:
        return Before(self._ends_90k, self.died_at_90k)

    def recover(
        self,
        part: Path,
        *,
        on_slice: OnSlice,
        on_trouble: Callable[[DiskFull], None],
        on_warning: Callable[[str], None],
    ) -> None:
        """Close a slice that was still being written. What cannot be read is kept aside: a part that breaks us once must
        not do so at each restart.
        """
        try:
            found = self._recovered(part)
        except DiskFull as error:
            part.unlink()  # with no room to save it, it only is in the way of what comes
            on_trouble(error)
            return
        except (av.FFmpegError, ValueError, AssertionError) as error:
            part.rename(part.with_suffix(BROKEN))
            on_warning(f"the unfinished slice {part.stem} could not be recovered: {type(error).__name__}")
            return
        if found is not None:
            on_slice(found)
            self._ends_90k[found.track] = found.end_90k
            self.died_at_90k = max(self.died_at_90k or 0, found.end_90k)
        part.unlink()

    def _recovered(self, part: Path) -> ClosedSlice | None:
        begin = self._begin
        spec = begin.spec
        if self.t0_ms is None:
            return None  # nobody ever learned of a zero: there is no picture in it yet
        if spec.mode is not Mode.MIX:
            opened = self._opened.get(part.stem)
            return None if opened is None else recover_stream(part, part.with_name(part.stem), opened)
        start_90k = start_of(part.name, t0_ms=self.t0_ms, epoch=begin.epoch, fps=spec.video.fps)
        found = recover(
            part,
            part.with_suffix(RECOVERED),
            fps=spec.video.fps if spec.has_video else None,
            audio=spec.has_audio,
            near_90k=begin.resume_at_90k if start_90k is None else start_90k,
        )
        if found is None:
            return None
        name = keys.segment_key((), begin.sid, spec.cname, self.t0_ms, found.start_90k, begin.epoch)
        named = found.path.with_name(name)
        return replace(found, path=found.path.rename(named))
