"""Which faults hit what, when; which of them mean nothing; and what each may cost. Data alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Final

#: The farm's clocks in these runs, in seconds: bounds are sums of them.
TTL_S: Final = 3.0
LEADER_TTL_S: Final = 1.0
SLICE_S: Final = 2
FAULT_S: Final = 2 * TTL_S

FAULTS: Final = ("kill", "freeze", "cut")
TARGETS: Final = ("recorder", "worker", "host", "leader", "leader+host", "redis", "postgres", "store")
#: All five are in the air when the fault comes: one recording each.
PHASES: Final = ("joining", "recording", "cutting", "uploading", "stopping")

#: The wall clock of the target's host is an hour off for a while. Beside a worker's own: its recorders die meanwhile (`recorder`).
STEPS: Final = {"step +1h": 3_600, "step -1h": -3_600}
STEPPED: Final = ("worker", "recorder", "postgres")

#: What is left out, and why.
NOTHING: Final = {
    ("cut", "recorder"): "a recorder's only connections are its worker's pipe and the store",
    ("cut", "host"): "a host without its network is a worker without it",
    ("freeze", "host"): "a frozen host is a frozen worker and its recorders",
    ("cut", "leader+host"): "the sum of cut leader and cut worker",
    ("freeze", "leader+host"): "the sum of frozen leader and frozen worker",
    ("step", "leader"): "it counts with CLOCK_MONOTONIC and the database's clock alone",
    ("step", "redis"): "nobody reads its clock",
    ("step", "store"): "a store that is an hour off refuses signatures: an outage, which has cells",
    ("step", "channel"): "a scripted channel has no server; tests/ingest steps the clock of one that has",
}


@dataclass(frozen=True, slots=True)
class Shot:
    """One fault on one target; it hits a recording in each phase."""

    fault: str
    target: str

    @property
    def name(self) -> str:
        return f"{self.fault} {self.target}"


SHOTS: Final = (
    *(Shot(f, t) for f, t in product(FAULTS, TARGETS) if (f, t) not in NOTHING),
    *(Shot(f, t) for f, t in product(STEPS, STEPPED)),
)
#: What CI runs.
SUBSET: Final = (Shot("kill", "recorder"), Shot("kill", "worker"))


def hole_bound_s(shot: Shot) -> float:
    """Architecture, "Numbers to hold": the longest hole in decoded pictures."""
    failover = TTL_S + 5
    if shot.fault in STEPS and shot.target != "recorder":
        return 0.0
    match shot.target:
        case "recorder":
            return 6.0 if shot.fault == "freeze" else 3.0
        case "worker":
            return failover
        case "host":
            return failover + SLICE_S + 5  # its last slice, and one that was on its way to the store
        case "leader+host":
            return failover + LEADER_TTL_S + TTL_S + SLICE_S + 5
        case _:
            return 0.0  # leader, Redis, database, store: nobody but they themselves notice
