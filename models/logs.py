"""One line format for every process: time, level, process, module, then sid, epoch and request where they are known.

Secrets are taken out at the formatter, so that no call can forget it: whatever text arrives, also from a library or in
a traceback, passes `redact` last.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final, TextIO

_sid: ContextVar[str] = ContextVar("reelyard_sid", default="")
_epoch: ContextVar[int | None] = ContextVar("reelyard_epoch", default=None)
_request: ContextVar[str] = ContextVar("reelyard_request", default="")

HIDDEN: Final = "[hidden]"
#: A line is bounded: one hostile value cannot fill a disk.
MAX_LINE: Final = 8_000

_NAMES = (
    r"[\w-]*(?:secret|password|passwd|token|authorization|credential|signature|salt)[\w-]*"
    r"|access[_-]?key(?:[_-]?id)?|api[_-]?key|secret[_-]?keys?|customer[_-]?key"
)
_PATTERNS: Final = (
    (re.compile(r"\b(basic|bearer)\s+[\w.~+/=-]{4,}", re.I), rf"\1 {HIDDEN}"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), HIDDEN),  # a JSON web token, wherever it stands
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@:'\"]*:[^\s/@'\"]+@", re.I), rf"\1{HIDDEN}@"),
    # name=value, name: value, "name": "value", 'name': 'value', ?name=value
    (
        re.compile(rf"""((?<!\w)["']?(?:{_NAMES})["']?\s*[=:]\s*)(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,;&"'}})\]]+)""", re.I),
        rf"\1{HIDDEN}",
    ),
)  # fmt: skip
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), 127) if code not in (9, 10)}


def redact(text: str) -> str:
    """The text without what looks like a secret: credentials in headers and URLs, tokens, values of telling names."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


class LineFormatter(logging.Formatter):
    """`2026-11-21T12:00:00.123Z INFO scheduler scheduler.reaper sid=… epoch=2 request=… | text`; a traceback's lines have the same head."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        if record.stack_info:
            text = f"{text}\n{self.formatStack(record.stack_info)}"
        head = self._head(record)
        lines = redact(text[:MAX_LINE]).translate(_CONTROL).split("\n")
        return "\n".join(f"{head} | {line}" for line in lines)

    def _head(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC)
        parts = [f"{at:%Y-%m-%dT%H:%M:%S}.{int(record.msecs):03d}Z", record.levelname, self._process, record.name]
        if sid := getattr(record, "sid", "") or _sid.get():  # `extra={"sid": …}` of one call, or `bound`
            parts.append(f"sid={sid}")
        if (epoch := getattr(record, "epoch", None) or _epoch.get()) is not None:
            parts.append(f"epoch={epoch}")
        if request := _request.get():
            parts.append(f"request={request}")
        return " ".join(parts)


@contextmanager
def bound(*, sid: str = "", epoch: int | None = None, request: str = "") -> Iterator[None]:
    """Everything logged inside, also by threads started with this context, names these. What is not given stays as it was."""
    tokens = [
        (_sid, _sid.set(sid or _sid.get())),
        (_request, _request.set(request or _request.get())),
    ]
    epoch_token = _epoch.set(epoch if epoch is not None else _epoch.get())
    try:
        yield
    finally:
        _epoch.reset(epoch_token)
        for variable, token in reversed(tokens):
            variable.reset(token)


def configure(process: str, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Make this the only way anything is logged in this process; stderr unless another stream is given."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(LineFormatter(process))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in list(logging.root.manager.loggerDict):
        library = logging.getLogger(name)
        library.handlers.clear()  # uvicorn and celery bring their own formats
        library.propagate = True
    for chatty in ("httpx", "httpcore", "botocore", "boto3", "urllib3", "aioice", "aiortc"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
