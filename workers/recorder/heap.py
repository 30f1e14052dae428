"""glibc's heap for a recorder (mallopt(3)): one for all threads, and freed pages go back to the system.

With 17 users its defaults (a heap for each thread, growing thresholds) cost 40 MB more. A fork inherits it.
"""

from __future__ import annotations

import ctypes
from typing import Final

M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
M_ARENA_MAX: Final = -8
_libc = ctypes.CDLL(None)


def keep_heap_small() -> None:
    if not hasattr(_libc, "mallopt"):
        return  # another libc has other habits
    _libc.mallopt(M_ARENA_MAX, 1)
    _libc.mallopt(M_MMAP_THRESHOLD, 1 << 20)
    _libc.mallopt(M_TRIM_THRESHOLD, 1 << 18)
