"""Mourning: what the deaths of tenures mean for their recordings, and for their nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sqlalchemy.orm import Session

from models.database import now_ms
from models.repositories import nodes, notices, reaping, recordings, tenures
from models.repositories.reaping import Reaped
from models.repositories.tenures import HELD
from models.vocabulary.events import Event
from models.vocabulary.states import TenureState, ended
from scheduler import backoff


def mourn(session: Session, dead: Sequence[Reaped]) -> dict[str, int]:
    """In the unit that reaped them, which holds their recordings' row locks. The epochs that go on instead, by sid."""
    if not dead:
        return {}
    sids = {grant.sid for grant in dead}
    alive = {r.sid: r for r in recordings.lock_all(session, sids) if not ended(r.status)}
    held = [grant for grant in dead if grant.sid in alive and grant.state in HELD]
    captured = reaping.survivors(session, alive)
    sliced = reaping.sliced(session, [(grant.sid, grant.epoch) for grant in held])
    heirs: dict[str, int] = {}
    now = now_ms(session)
    for grant in held:
        recording = alive[grant.sid]
        if grant.sid in captured:
            session.flush()  # the row is read anew
            if (heir := tenures.promote(session, grant.sid)) is not None:
                heirs[grant.sid] = heir
                continue
        on_hold = recording.held_90k is not None  # then there are no slices
        waited = grant.state is not TenureState.WARMING and on_hold
        recording.deaths = 0 if waited or (grant.sid, grant.epoch) in sliced else recording.deaths + 1
        recording.next_dispatch_ms = now + backoff.after_deaths_ms(recording.deaths)
    session.flush()
    notices.say_all(session, Event.SESSION_FAILOVER, {sid: {"newUid": int(alive[sid].spec["uid"])} for sid in heirs})
    missed = Counter(grant.node for grant in dead if grant.sid in alive and grant.state not in HELD)
    for node, times in sorted(missed.items()):
        nodes.missed(session, node, times)
    return heirs
