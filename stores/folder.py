"""A store in a folder. Every object appears whole or not at all, and no key leads out of the root.

Folders on the way to an object are opened one by one, each relative to the last and none through a symbolic link, so
that a link planted between a check and a use leads nowhere.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from models.vocabulary.errors import StorageError, StoreCorrupt, StoreRefused, StoreUnavailable
from stores.base import ObjectInfo, StoreCaps
from stores.names import TEMPORARY, checked, content_type

PIECE_BYTES: Final = 1 << 20
#: No put lasts so long.
ABANDONED_S: Final = 6 * 3_600.0
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe planted as a file must not block
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: Errors that waiting does not heal.
_REFUSALS: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EEXIST}
)


class Folder:
    """`head` computes the md5 by reading the file; the content type follows from the key's suffix."""

    def __init__(
        self,
        root: Path,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        random_name: Callable[[], str] = lambda: secrets.token_hex(8),
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._wall = wall
        self._swept: set[str] = set()
        self.caps = StoreCaps(reads=True, deletes=True, presigns=False)
        self._root = root
        self._monotonic = monotonic
        self._random_name = random_name

    def probe(self) -> None:
        with _translated("the folder"):
            self._root.mkdir(parents=True, exist_ok=True)
            if not os.access(self._root, os.W_OK | os.X_OK):
                raise StoreRefused(f"the folder {self._root} may not be written to")

    def put(
        self, key: str, source: Path | bytes, *, md5_hex: str, content_type: str, timeout_s: float | None = None
    ) -> None:
        deadline_s = None if timeout_s is None else self._monotonic() + timeout_s
        checked(key)
        with _open(source) as reading, _translated(key), self._folder_of(key, create=True) as (folder, name):
            self._sweep(folder, key.rpartition("/")[0])
            temporary = f"{TEMPORARY}{self._random_name()}"
            try:
                self._copy(reading, folder, temporary, key, md5_hex, deadline_s)
                os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):  # the first error is the one that matters
                    os.unlink(temporary, dir_fd=folder)
                raise
            os.fsync(folder)

    def _sweep(self, folder: int, path: str) -> None:
        """Once for each folder: what a writer that was killed has left there, long enough ago that none still writes it."""
        if path in self._swept:
            return
        self._swept.add(path)
        with os.scandir(folder) as entries:
            left = [entry for entry in entries if entry.name.startswith(TEMPORARY)]
        for entry in left:
            with suppress(FileNotFoundError):  # somebody else sweeps, too
                if entry.stat(follow_symlinks=False).st_mtime < self._wall() - ABANDONED_S:
                    os.unlink(entry.name, dir_fd=folder)

    def _copy(
        self, reading: BinaryIO, folder: int, temporary: str, key: str, md5_hex: str, deadline_s: float | None
    ) -> None:
        seen = hashlib.md5(usedforsecurity=False)
        with os.fdopen(os.open(temporary, _CREATE, 0o644, dir_fd=folder), "wb", buffering=0) as writing:
            while piece := reading.read(PIECE_BYTES):
                if deadline_s is not None and self._monotonic() > deadline_s:
                    raise StoreUnavailable(f"{key}: writing took too long")
                seen.update(piece)
                _write_all(writing.fileno(), piece)
            os.fsync(writing.fileno())
        if seen.hexdigest() != md5_hex:
            raise StoreCorrupt(f"{key}: the bytes do not have the checksum they were sent with")

    def head(self, key: str) -> ObjectInfo | None:
        with self._reading(key) as file:
            if file is None:
                return None
            md5_hex = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
            return ObjectInfo(file.tell(), md5_hex, content_type(key))

    def get_range(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        with self._reading(key) as file:
            if file is None:
                raise StorageError(f"there is no object {key}")
            file.seek(start)
            return file.read(-1 if end is None else max(0, end - start))

    def list(self, prefix: str = "") -> list[str]:
        with _translated("the folder"):
            return sorted(key for key in self._keys() if key.startswith(prefix))

    def _keys(self) -> Iterator[str]:
        for folder, _, files in os.walk(self._root):  # follows no links
            for name in files:
                path = Path(folder, name)
                if not name.startswith(TEMPORARY) and not path.is_symlink():
                    yield path.relative_to(self._root).as_posix()

    def presign(self, key: str, expires_s: int) -> str | None:
        return None

    def delete(self, key: str) -> None:
        checked(key)
        with _translated(key), suppress(FileNotFoundError), self._folder_of(key) as (folder, name):
            os.unlink(name, dir_fd=folder)

    def close(self) -> None:
        """Nothing is held open between calls."""

    @contextmanager
    def _reading(self, key: str) -> Iterator[BufferedReader | None]:
        """The object's file, or None when there is none."""
        checked(key)
        with _translated(key):
            try:
                with self._folder_of(key) as (folder, name):
                    opened = os.open(name, _READ, dir_fd=folder)
            except FileNotFoundError:
                opened = None
            if opened is None:
                yield None
                return
            with os.fdopen(opened, "rb") as file:
                yield file if stat.S_ISREG(os.fstat(opened).st_mode) else None

    @contextmanager
    def _folder_of(self, key: str, create: bool = False) -> Iterator[tuple[int, str]]:
        """The open folder an object lies in, and its name there."""
        *folders, name = key.split("/")
        if create:
            self._root.mkdir(parents=True, exist_ok=True)
        at = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # the operator's root may be a link
        try:
            for part in folders:
                if create:
                    with suppress(FileExistsError):
                        os.mkdir(part, dir_fd=at)
                below = os.open(part, _FOLDER, dir_fd=at)
                os.close(at)
                at = below
            yield at, name
        finally:
            os.close(at)


def _open(source: Path | bytes) -> BinaryIO:
    return source.open("rb") if isinstance(source, Path) else BytesIO(source)


def _write_all(file: int, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(file, rest) :]


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "input/output error"
        kind = StoreRefused if error.errno in _REFUSALS else StoreUnavailable
        raise kind(f"{what}: {reason}") from error
