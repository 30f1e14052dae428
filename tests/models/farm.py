"""What most tests of the state begin with."""

from __future__ import annotations

from sqlalchemy.orm import Session

from models.repositories import apps, nodes, recordings, resources, tenures
from models.tables import Node, Recording
from models.vocabulary.spec import MemoryStore, RecordingSpec, Secrets, StoreKeys
from models.vocabulary.states import Role

APPID = "a" * 32
SECRETS = Secrets(channel_token="token-in-the-clear", store=StoreKeys(access_key="AK", secret_key="key-in-the-clear"))
TTL_MS = 6_000


def spec(cname: str = "room", uid: str = "1", **fields: object) -> RecordingSpec:
    base = {"appid": APPID, "cname": cname, "uid": uid, "channel": "whip:", "store": MemoryStore()}
    return RecordingSpec.model_validate(base | fields)


def app(session: Session, *, appid: str = APPID, notice_url: str = "") -> str:
    return apps.add(session, appid=appid, name="", channel="whip:", store=None, notice_url=notice_url).appid


def recording(session: Session, sid: str = "s1", *, cname: str = "room", uid: str = "1") -> Recording:
    """A started one, in the app that `app` makes."""
    resource = resources.acquire(session, appid=APPID, cname=cname, uid=uid, options={}, ttl_ms=300_000)
    return recordings.create(
        session, sid=sid, resource=resource, spec=spec(cname, uid), secrets=SECRETS, weight=100, warnings=[]
    )


def node(session: Session, name: str = "n1", *, boot: str = "b1", capacity: int = 400, ttl_ms: int = 60_000) -> Node:
    return nodes.beat(session, name, boot, capacity, "0.1.0", "", "", False, ttl_ms)


def tenure(
    session: Session, sid: str = "s1", *, role: Role = Role.PRIMARY, from_90k: int = 0, until_90k: int | None = None
) -> tenures.Claim:
    """Placed on n1 (which `node` makes) and claimed."""
    epoch = tenures.place(
        session, sid, role=role, node="n1", weight=100, from_90k=from_90k, until_90k=until_90k, deadline_ms=5_000
    )
    claim = tenures.claim(session, sid, epoch, "n1", "b1", ttl_ms=TTL_MS)
    assert claim is not None
    return claim
