"""The one task: look at (sid, epoch), and if its tenure is still to be had, supervise a recorder to its end."""

from __future__ import annotations

import time
from typing import Any

from models.vocabulary import messages
from workers import running
from workers.announcing import Shown, announcer
from workers.app import app


@app.task(name=messages.RECORD, bind=True)
def record(self: Any, sid: str, epoch: int) -> None:
    request = self.request
    shown = Shown(request.id, messages.RECORD, request.argsrepr or repr((sid, epoch)), time.time())
    seen = announcer(app, request.hostname)
    try:
        running.node().supervise(sid, epoch, on_claimed=lambda: seen.begin(shown))
    finally:
        seen.end(shown.uuid)
