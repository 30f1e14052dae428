"""Whatever is answered: no UID is in the channel twice, every job ends in time with a name for its end, no wait is cut short."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from models.vocabulary.states import JobState
from scheduler.jobs.view import Cause, JobView, Kind, Outcome, Verb
from tests.scheduler.jobs.scripts import ZERO_MS, Call, terms, walk

MINUTE_MS = 60_000
LOST = Outcome(kind=Kind.LOST, reason="reset")


@dataclass
class Taken:
    """What really became of one resourceId."""

    uid: str
    sid: str
    live: bool = False
    used: bool = False
    told: bool = False
    lies: int = 0


@dataclass
class Service:
    """Keeps to the contract as badly as one may: answers get lost, come late or wrong; a 404 is wrong up to three times in a row."""

    chance: random.Random
    trouble: float  # how often a call gets no proper answer
    farm: bool
    by_resource: dict[str, Taken] = field(default_factory=dict)
    by_sid: dict[str, Taken] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)

    def respond(self, call: Call, job: JobView) -> Outcome:
        for taken in self.by_resource.values():
            if taken.live and self.chance.random() < 0.1:
                taken.live = False
        attempt = job.attempt
        if call.verb is Verb.ACQUIRE:
            return self.acquire(call.uid)
        if call.verb is Verb.START:
            return self.start(self.by_resource[attempt.resource_id])
        return {Verb.QUERY: self.query, Verb.RECORD: self.record, Verb.STOP: self.stop}[call.verb](
            self.by_sid[attempt.sid]
        )

    def bad(self) -> Outcome | None:
        if self.chance.random() >= self.trouble:
            return None
        choices = [LOST, Outcome(http=500), Outcome(http=503), Outcome(http=504, code=62), Outcome(http=429)]
        return self.chance.choice(choices)

    def bad_or_foreign(self) -> Outcome | None:
        """… or a 404 of somebody in between."""
        foreign = self.chance.random() < self.trouble / 5
        return Outcome(http=404) if foreign else self.bad()

    def acquire(self, uid: str) -> Outcome:
        n = f"{len(self.by_resource)}"
        self.by_resource[n] = self.by_sid[f"sid{n}"] = Taken(uid, f"sid{n}")
        refused = Outcome(http=400, code=self.chance.choice([2, 406])) if self.chance.random() < 0.02 else None
        return self.bad_or_foreign() or refused or Outcome(http=200, resource_id=n)

    def start(self, taken: Taken) -> Outcome:
        bad = self.bad_or_foreign()
        if not taken.used and (bad is None or self.chance.random() < 0.5):
            if bad is None and self.chance.random() < 0.1:
                return Outcome(http=400, code=self.chance.choice([2, 53, 433]))
            if any(other.live and other.uid == taken.uid for other in self.by_resource.values()):
                self.twice.append(taken.uid)
            taken.used = taken.live = True
            return bad or self.chance.choice(
                [
                    Outcome(http=200, sid=taken.sid),
                    Outcome(http=206, code=65),
                    Outcome(http=206, code=65, sid=taken.sid),
                ]
            )
        told = taken.sid if self.farm or self.chance.random() < 0.5 else ""
        return bad or Outcome(http=201, code=7, sid=told)

    def query(self, taken: Taken) -> Outcome:
        exiting = taken.told and taken.live and self.chance.random() < 0.5
        said = (
            Outcome(http=400, code=501) if exiting else Outcome(http=200, status=self.chance.choice([1, 3, 4, 4, 5, 5]))
        )
        return self.bad() or self.missing(taken) or said

    def record(self, taken: Taken) -> Outcome:
        if not self.farm:
            return self.bad() or Outcome(http=404)
        status = 5 if taken.live else self.chance.choice([8, 20])
        return self.bad() or self.missing(taken, gone=False) or Outcome(http=200, status=status, reason="maxIdleTime")

    def stop(self, taken: Taken) -> Outcome:
        if found := self.bad() or self.missing(taken):
            return found
        taken.told, taken.live = True, self.chance.random() < 0.5
        return Outcome(http=200)

    def missing(self, taken: Taken, *, gone: bool = True) -> Outcome | None:
        """404, truly or not; after a stop was accepted it is true."""
        lies = taken.live and not taken.told and taken.lies < 3 and self.chance.random() < 0.3
        taken.lies = taken.lies + 1 if lies else 0
        return Outcome(http=404) if lies or (gone and not taken.live) else None


@settings(max_examples=400, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    trouble=st.sampled_from([0.0, 0.1, 0.3, 0.6, 0.9, 1.0]),
    farm=st.booleans(),
    domains=st.integers(1, 2),
    max_idle_ms=st.sampled_from([5_000, 30_000, 600_000]),
    stop_s=st.one_of(st.none(), st.integers(0, 3_000)),
    for_ms=st.one_of(st.none(), st.integers(1_000, 20 * MINUTE_MS)),
    not_before_ms=st.sampled_from([0, MINUTE_MS]),
)
def test_no_uid_twice_every_job_ends_in_time_and_no_wait_is_cut_short(
    seed: int,
    trouble: float,
    farm: bool,
    domains: int,
    max_idle_ms: int,
    stop_s: int | None,
    for_ms: int | None,
    not_before_ms: int,
) -> None:
    service = Service(random.Random(seed), trouble, farm)
    ordered = terms(
        farm=farm, domains=domains, max_idle_ms=max_idle_ms, for_ms=for_ms, not_before_ms=not_before_ms,
        deadline_ms=40 * MINUTE_MS, start_within_ms=15 * MINUTE_MS,
    )  # fmt: skip
    answers: list[Outcome] = []

    def respond(call: Call, job: JobView) -> Outcome:
        answers.append(service.respond(call, job))
        return answers[-1]

    stop_ms = None if stop_s is None else ZERO_MS + stop_s * 1_000
    job, calls = walk(JobView(terms=ordered), respond, stop_ms=stop_ms, until_ms=ordered.deadline_ms)

    assert not service.twice, f"uid {service.twice} joined while it was in the channel"
    assert job.state in (JobState.DONE, JobState.FAILED), "it outlived its deadline"
    assert isinstance(job.cause, Cause)
    assert job.reason
    if job.state is JobState.DONE:
        assert not any(attempt.may_record for attempt in job.attempts), "done means that nothing records"
    assert all(call.at_ms >= ordered.not_before_ms for call in calls)
    for before, outcome, after in zip(calls, answers, calls[1:], strict=False):
        gap_ms = after.at_ms - before.at_ms
        assert gap_ms >= _least_ms(before, outcome, after), (before, outcome, after)


def _least_ms(before: Call, outcome: Outcome, after: Call) -> int:
    """The shortest wait that the best practices allow between two calls."""
    if (before.verb, before.uid) != (after.verb, after.uid):
        return 0
    if outcome.kind is Kind.LOST:
        return 1_000
    match before.verb:
        case Verb.ACQUIRE | Verb.START:
            return 0 if outcome.http == 400 else 3_000
        case Verb.QUERY if outcome.http != 200:
            return 5_000
        case Verb.QUERY:
            return 1  # below maxIdleTime, and once more at 90 s
        case _:
            return 3_000


@settings(max_examples=50, deadline=None)
@given(chance=st.floats(0, 1, exclude_max=True))
def test_the_period_is_a_minute_give_or_take_a_tenth(chance: float) -> None:
    from scheduler.jobs.waits import period_ms

    assert 54_000 <= period_ms(chance) <= 66_000
