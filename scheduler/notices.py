"""Notices on their way (contract §7): what is due is POSTed, signed, until a receiver has taken it or a day is over.

A notice that is taken up is leased in SQL: whoever dies with it has it delivered again by the next leader. Only the
oldest pending notice of a recording is ever due, so a receiver sees each recording's in order of their sequence.
"""

from __future__ import annotations

import json
import logging
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from models.database import Database, now_ms
from models.repositories import notices
from models.settings import Settings
from models.tables import App, Notice, Recording
from models.vocabulary import events
from models.vocabulary.errors import ReelyardError, StateUnavailable
from models.vocabulary.spec import Mode
from net.http import Answer, fetch

log = logging.getLogger(__name__)

#: Within this a receiver answers 200 with a JSON body.
TIMEOUT_S: Final = 10.0
MAX_ANSWER_BYTES: Final = 64 * 1024
LEASE_MS: Final = 20_000
PARALLEL: Final = 16
#: A receiver that never answers keeps so many of them busy, not all.
PARALLEL_PER_APP: Final = 4
#: Before the 2nd, 3rd … try; the last one again and again.
WAITS_MS: Final = (0, 1_000, 3_000, 10_000, 30_000, 60_000, 120_000, 300_000)
JITTER: Final = 0.2
GIVE_UP_AFTER_MS: Final = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Parcel:
    """One notice, ready to be sent."""

    sid: str
    sequence: int
    appid: str
    tries: int  # before this one
    told_ms: int
    url: str
    body: bytes = field(repr=False)
    headers: dict[str, str] = field(repr=False)


def wait_ms(tries: int, chance: float) -> int:
    """How long to wait after so many tries that failed; a little more by `chance` in [0, 1)."""
    wait = WAITS_MS[min(tries, len(WAITS_MS)) - 1]
    return round(wait * (1 + JITTER * chance))


def verdict(answer: Answer) -> str:
    """Empty: taken. Else what is wrong with the answer."""
    if answer.status != 200:
        return str(answer.status)
    try:
        json.loads(answer.body)
    except (ValueError, RecursionError):
        return "200, but its body is not JSON"
    return ""


class Delivery:
    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        chance: Callable[[], float] = random.random,
        send: Callable[..., Answer] = fetch,
    ) -> None:
        self._database = database
        self._settings = settings
        self._chance = chance
        self._send = send
        self._threads = ThreadPoolExecutor(PARALLEL, thread_name_prefix="notice")
        self._lock = Lock()
        self._busy: dict[tuple[str, int], str] = {}  # (sid, sequence) on its way → its app

    def tick(self) -> int:
        """Take up what is due; how many. Raises `StateUnavailable`. Does not wait for any receiver."""
        taken = 0
        while parcels := self._take():
            taken += len(parcels)
            for parcel in parcels:
                self._threads.submit(self._deliver, parcel)
        return taken

    def close(self) -> None:
        """What is on its way is delivered again by whoever leads next, unless it arrives."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def busy(self) -> int:
        with self._lock:
            return len(self._busy)

    # -- taking up ----------------------------------------------------------------------------------------------

    def _take(self) -> list[Parcel]:
        """A few, and never more of one app than its share."""
        with self._lock:
            by_app = Counter(self._busy.values())
        full = [appid for appid, count in by_app.items() if count >= PARALLEL_PER_APP]
        room = min(
            PARALLEL - by_app.total(),
            PARALLEL_PER_APP - max((c for c in by_app.values() if c < PARALLEL_PER_APP), default=0),
        )
        if room <= 0:
            return []
        taken: list[Parcel] = []
        try:
            with self._database.unit() as session:
                for notice in notices.lease(session, room, for_ms=LEASE_MS, but_apps=full):
                    recording, app = session.get(Recording, notice.sid), session.get(App, notice.appid)
                    parcel = self._parcel(notice, recording, app)
                    if parcel is None:
                        notices.failed(session, notice.sid, notice.sequence, "no receiver any more", retry_ms=None)
                        continue
                    taken.append(parcel)
                    with self._lock:  # before the lease is anybody else's to see
                        self._busy[parcel.sid, parcel.sequence] = parcel.appid
        except BaseException:
            for parcel in taken:
                self._done_with(parcel)
            raise
        return taken

    def _done_with(self, parcel: Parcel) -> None:
        with self._lock:
            self._busy.pop((parcel.sid, parcel.sequence), None)

    def _parcel(self, notice: Notice, recording: Recording | None, app: App | None) -> Parcel | None:
        if recording is None or app is None or not app.notice_url:
            return None
        secret = str((app.notice_secret or {}).get("secret", ""))
        taken_ms = notice.next_ms - LEASE_MS
        body = events.raw(
            events.envelope(
                notice_id=notice.notice_id,
                event=notice.event,
                details=notice.details,
                cname=recording.cname,
                uid=recording.uid or str(recording.spec["uid"]),
                sid=notice.sid,
                sequence=notice.sequence,
                mode=Mode(recording.mode),
                told_ms=notice.created_ms,
                notify_ms=taken_ms,
            )
        )
        headers = {"Content-Type": "application/json", "User-Agent": "Reelyard"} | events.signatures(secret, body)
        return Parcel(
            sid=notice.sid,
            sequence=notice.sequence,
            appid=notice.appid,
            tries=notice.attempts,
            told_ms=notice.created_ms,
            url=app.notice_url,
            body=body,
            headers=headers,
        )

    # -- delivering ---------------------------------------------------------------------------------------------

    def _deliver(self, parcel: Parcel) -> None:
        try:
            self._write_down(parcel, self._post(parcel))
        except StateUnavailable as error:
            log.warning("a notice's delivery is not written down, so it goes again: %s", error.text, extra=_tag(parcel))
        except Exception:
            log.exception("a notice was not delivered", extra=_tag(parcel))  # its lease runs out, and it goes again
        finally:
            self._done_with(parcel)

    def _post(self, parcel: Parcel) -> str:
        """Empty: taken. Else why not, for the log of attempts: never with what the receiver's address may hide."""
        try:
            answer = self._send(
                "POST",
                parcel.url,
                allow_networks=self._settings.allow_networks,
                body=parcel.body,
                headers=parcel.headers,
                max_bytes=MAX_ANSWER_BYTES,
                timeout_s=TIMEOUT_S,
            )
        except ReelyardError as error:
            return error.text
        return verdict(answer)

    def _write_down(self, parcel: Parcel, wrong: str) -> None:
        key = parcel.sid, parcel.sequence
        with self._database.unit() as session:
            if not wrong:
                notices.done(session, *key, "200")
                if parcel.tries:
                    with self._lock:
                        on_their_way = list(self._busy)
                    notices.hasten(session, parcel.appid, but=on_their_way)
                return
            old = now_ms(session) - parcel.told_ms > GIVE_UP_AFTER_MS
            retry_ms = None if old else wait_ms(parcel.tries + 1, self._chance())
            notices.failed(session, *key, wrong, retry_ms=retry_ms)
        log.log(
            logging.WARNING if old or parcel.tries == 0 else logging.INFO,
            "notice %s %s: %s",
            parcel.sequence,
            "is given up" if old else "was not taken",
            wrong,
            extra=_tag(parcel),
        )


def _tag(parcel: Parcel) -> dict[str, str]:
    return {"sid": parcel.sid}
