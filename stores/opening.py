"""From a store's address to the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, assert_never

from models.vocabulary.errors import BadParameter
from models.vocabulary.spec import Backup, FolderStore, MemoryStore, S3Store, StoreAddress, StoreKeys
from net.guard import EVERYWHERE, Network
from stores.base import Store
from stores.folder import Folder
from stores.memory import Memory
from stores.s3 import S3
from stores.vendors import configured, vendor_table


def open_store(
    address: StoreAddress,
    keys: StoreKeys,
    *,
    stores_root: Path | None = None,
    allow_networks: Iterable[Network] = (),
    vendor_overrides: Mapping[int, Mapping[str, Any]] | None = None,
    wall: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Store:
    """Opens no connection: `probe` or a put tells whether the store is there. Close it.

    Raises `BadParameter` naming the field of the address that is wrong, ValueError for a wrong `vendor_overrides`.
    """
    match address:
        case FolderStore():
            return Folder(folder_below(stores_root, address.path))
        case MemoryStore():
            return Memory.named(address.name)
        case S3Store():
            vendors = configured() if vendor_overrides is None else vendor_table(vendor_overrides)
            allowed = tuple(allow_networks)
            return S3(address, keys, allow_networks=allowed, vendors=vendors, wall=wall, sleep=sleep)
        case _:
            assert_never(address)


def open_backup(backup: Backup) -> Store:
    """The operator's own store: his folder and his addresses are not judged."""
    if isinstance(backup.address, FolderStore):
        return Folder(Path(backup.address.path))
    return open_store(backup.address, backup.keys, allow_networks=EVERYWHERE)


def folder_below(root: Path | None, path: str) -> Path:
    """An app's folder; absolute or relative to the root, never outside it. Raises `BadParameter`."""
    if root is None:
        raise BadParameter("store.path: this farm has no folder stores; the operator sets REELYARD_STORES_ROOT")
    if "\0" in path:
        raise BadParameter("store.path has a NUL")
    real_root = root.resolve()
    found = (real_root / path).resolve()
    if not found.is_relative_to(real_root):
        raise BadParameter("store.path leads out of REELYARD_STORES_ROOT")
    return found
