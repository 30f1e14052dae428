"""The one task: look at (sid, epoch), and if its tenure is still to be had, supervise a recorder to its end."""

from __future__ import annotations

from typing import Any

from models.vocabulary import messages
from workers import running
from workers.app import app


@app.task(name=messages.RECORD, bind=True)
def record(self: Any, sid: str, epoch: int) -> None:
    def recording() -> None:
        self.send_event("task-recording", sid=sid, epoch=epoch)  # seen in Flower as a state of its own

    running.node().supervise(sid, epoch, on_claimed=recording)
