"""The orders of a tenure: what is wanted of it by now, each told to its recorder once, and again to the next one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from models.repositories.tenures import Renewed
from models.vocabulary import pipe
from models.vocabulary.spec import RecordingSpec
from models.vocabulary.states import TenureState, Wanted
from models.vocabulary.ticks import seconds, slot_end_after, slot_ticks, ticks
from workers.assignment import Assignment
from workers.incarnations import Incarnations

log = logging.getLogger(__name__)

#: The edge at which a relieved tenure leaves is at least so far ahead that its recorder has not passed it.
EDGE_S: Final = 0.5


class Orders:
    def __init__(
        self,
        assignment: Assignment,
        recorders: Incarnations,
        *,
        now: Callable[[], float],
        tag: Mapping[str, object],
    ) -> None:
        self.assignment = assignment
        self._recorders = recorders
        self._now = now
        self._tag = tag
        self.writer = assignment.writer  # of state and documents
        self.finishing = False
        self.cancelling = False  # what is not up is not wanted
        self._leaving = False

    @property
    def spec(self) -> RecordingSpec:
        return self.assignment.spec

    @property
    def slot_90k(self) -> int:
        return slot_ticks(self.spec.slice_s)

    def repeat(self) -> None:
        """To a new recorder process, beside what its beginning tells."""
        if self.finishing:
            self._recorders.say(pipe.Finish(cancel=self.cancelling))

    def renewed(self, renewed: Renewed, asked_at_s: float) -> bool:
        """Of a renewal that was asked for at `asked_at_s`. Whether it has made this tenure the writer."""
        was_writer, self.writer = self.writer, renewed.writer and self.assignment.writer
        for_s = max(0.0, renewed.for_ms / 1000 - (self._now() - asked_at_s))
        self._recorders.say(pipe.LeaseOk(for_s=for_s if self.writer else 0.0))
        if renewed.spec is not None and renewed.wanted_gen > self.assignment.spec_gen:
            secrets = renewed.secrets or self.assignment.secrets
            self.assignment = replace(self.assignment, spec=renewed.spec, spec_gen=renewed.wanted_gen, secrets=secrets)
            self._recorders.say(pipe.Spec(gen=renewed.wanted_gen, spec=renewed.spec, secrets=renewed.secrets))
        self._hold(renewed.wanted is Wanted.HOLD)
        if renewed.wanted in (Wanted.STOP, Wanted.CANCEL):
            self._finish(cancel=renewed.wanted is Wanted.CANCEL)
        elif renewed.state is TenureState.DRAINING:
            self._leave()
        return self.writer and not was_writer

    def fenced(self, *, cancelled: bool) -> None:
        """Another tenure goes on. What was captured may still fill holes, unless the recording was `cancelled`; state and
        documents are no longer ours.
        """
        log.warning("the tenure is lost", extra=self._tag)
        self.writer = False
        self._recorders.say(pipe.LeaseOk(for_s=0.0))
        self._finish(cancel=cancelled)

    def _hold(self, on: bool) -> None:
        if on is not self.assignment.on_hold:
            self.assignment = replace(self.assignment, on_hold=on)
            self._recorders.say(pipe.Hold(on=on))

    def _leave(self) -> None:
        """Another tenure carries the recording: record to the next slot's edge and hand over."""
        alive = self._recorders.alive
        if not self._leaving and alive is not None:
            self._leaving = True
            at_90k = slot_end_after(alive.position_90k + ticks(EDGE_S), self.spec.slice_s)
            log.info("leaving at %.1f s", seconds(at_90k), extra=self._tag)
            self._recorders.say(pipe.Cut(at_90k=at_90k))

    def _finish(self, *, cancel: bool) -> None:
        if not self.finishing or (cancel and not self.cancelling):
            self.finishing, self.cancelling = True, cancel
            self._recorders.say(pipe.Finish(cancel=cancel))
