"""Resources: the right to start one recording, for a few minutes."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from models.database import now_ms
from models.repositories.statements import changed
from models.tables import Recording, Resource
from models.tables.base import db_now_ms

#: How long an expired resource can still be told from one that was never issued.
MEMORY_MS: Final = 24 * 3_600_000


def acquire(session: Session, *, appid: str, cname: str, uid: str, options: Mapping[str, Any], ttl_ms: int) -> Resource:
    created_ms = now_ms(session)
    resource = Resource(
        resource_id=secrets.token_urlsafe(96),
        appid=appid,
        cname=cname,
        uid=uid,
        options=dict(options),
        created_ms=created_ms,
        expires_ms=created_ms + ttl_ms,
    )
    session.add(resource)
    session.flush()
    return resource


def get(session: Session, resource_id: str) -> Resource | None:
    return session.get(Resource, resource_id, populate_existing=True)


def delete_old(session: Session, *, limit: int = 500) -> int:
    """Forget what expired long ago and belongs to no recording that is still on record. Returns how many."""
    recorded = select(Recording.sid).where(Recording.resource_id == Resource.resource_id).exists()
    old = select(Resource.resource_id).where(Resource.expires_ms < db_now_ms() - MEMORY_MS, ~recorded).limit(limit)
    gone = delete(Resource).where(Resource.resource_id.in_(old)).returning(Resource.resource_id)
    return len(changed(session, gone))
