"""The one task: look at (sid, epoch), and if its tenure is still to be had, supervise a recorder to its end."""

from __future__ import annotations

import logging
import time
from typing import Any

from models.vocabulary import messages
from workers import running
from workers.announcing import Shown, announcer
from workers.app import app

log = logging.getLogger(__name__)


@app.task(name=messages.RECORD, bind=True)
def record(self: Any, /, sid: str, epoch: int, version: int = messages.VERSION, **_added_later: object) -> None:
    if version != messages.VERSION:
        said = "a scheduler sent a message of version %s, this worker knows %s: upgrade one of them; it goes elsewhere"
        log.error(said, version, messages.VERSION, extra={"sid": sid, "epoch": epoch})
        return
    request = self.request
    shown = Shown(request.id, messages.RECORD, request.argsrepr or repr((sid, epoch)), time.time())
    seen = announcer(app, request.hostname)
    try:
        running.node().supervise(sid, epoch, on_claimed=lambda: seen.begin(shown))
    finally:
        seen.end(shown.uuid)
