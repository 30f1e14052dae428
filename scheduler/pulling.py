"""The users of a channel that are URLs: added and removed at any time, also while the channel is being recorded.

An answer never repeats a URL: it may hold a password or a stream's key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy.orm import Session

from models.database import Database
from models.repositories import apps, pulls
from models.settings import Settings
from models.tables import PulledUser
from models.vocabulary.errors import BadParameter, FetchFailed, InvalidOperation, ReelyardError, UserNotFound
from models.vocabulary.pulls import MAX_OF_APP, MAX_USERS, SCHEME, Source, check_uid, source
from net.guard import resolve
from scheduler import rules

RESOLVE_S: Final = 3.0


class Pulling:
    """`files`: whether a URL may name a file of the recorder's host, which is the operator's right alone."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        nudge: Callable[[str], object] = lambda _sid: None,
        *,
        files: bool = False,
    ) -> None:
        self._database = database
        self._settings = settings
        self._nudge = nudge
        self._files = files

    def users(self, appid: str, cname: str) -> dict[str, Any]:
        rules.check_cname(cname)
        with self._database.unit() as session:
            _check_channel(session, appid)
            return {"users": [_shown(user) for user in pulls.users(session, appid, cname)]}

    def add(self, appid: str, cname: str, uid: str, url: str) -> dict[str, Any]:
        """Or give him another URL. Raises `BadParameter`, `AddressRefused`, `InvalidOperation` for one user too many."""
        rules.check_cname(cname)
        check_uid(uid)
        with self._database.unit() as session:
            _check_channel(session, appid)
        self._check_address(source(url, files=self._files))  # looks names up, so outside of any unit
        with self._database.unit() as session:
            pulls.put(session, appid, cname, uid, url)
            if pulls.count_of_app(session, appid) > MAX_OF_APP:
                raise InvalidOperation(f"an app has at most {MAX_OF_APP} users that are URLs; remove some")
            if pulls.count(session, appid, cname) > MAX_USERS:
                raise InvalidOperation(f"a channel has at most {MAX_USERS} users that are URLs")
            (shown,) = [_shown(user) for user in pulls.users(session, appid, cname) if user.uid == uid]
        self._tell(appid, cname)
        return shown

    def remove(self, appid: str, cname: str, uid: str) -> dict[str, Any]:
        """Those who are left. Raises `UserNotFound`."""
        rules.check_cname(cname)
        with self._database.unit() as session:
            _check_channel(session, appid)
            if not pulls.remove(session, appid, cname, uid):
                raise UserNotFound
            left = {"users": [_shown(user) for user in pulls.users(session, appid, cname)]}
        self._tell(appid, cname)
        return left

    def _tell(self, appid: str, cname: str) -> None:
        """A unit of its own: see `pulls.tell`."""
        with self._database.unit() as session:
            sids = pulls.tell(session, appid, cname)
        for sid in sids:
            self._nudge(sid)

    def _check_address(self, found: Source) -> None:
        """A name that nobody knows yet may be known later; recorders judge again when they connect."""
        if not found.host:
            return
        try:
            resolve(found.host, found.port, self._settings.allow_networks, timeout_s=RESOLVE_S)
        except FetchFailed:
            return


def _check_channel(session: Session, appid: str) -> None:
    if apps.get(session, appid).channel != SCHEME:
        raise BadParameter(f"this app's channels are not {SCHEME}, so their users are no URLs")


def _shown(user: PulledUser) -> dict[str, Any]:
    try:
        shown = str(source(str(user.source["url"]), files=True))
    except ReelyardError:  # another version took it
        shown = ""
    return {"uid": user.uid, "source": shown, "created_ms": user.created_ms}
