"""What `ps` and `top` show of a process (prctl(2), PR_SET_NAME): at most 15 bytes."""

from __future__ import annotations

import ctypes

PR_SET_NAME = 15
_libc = ctypes.CDLL(None, use_errno=True)


def name_process(name: str) -> None:
    _libc.prctl(PR_SET_NAME, name.encode()[:15])
