"""Where files go. `open_store(address, keys, …)` gives a `Store`; stores/base.py says what that promises."""

from stores.base import ObjectInfo, Store, StoreCaps
from stores.opening import open_store

__all__ = ["ObjectInfo", "Store", "StoreCaps", "open_store"]
