"""The areas of acquire's `region`, and which of them a vendor's region lies in (contract §1: the two must agree). Pure."""

from __future__ import annotations

import re
from typing import Final

from scheduler import orders
from scheduler.fields import STORAGE, check
from stores.vendors import VENDORS

AREAS: Final = ("CN", "AP", "EU", "NA")
#: By the beginning of a region's name; what is not here (South America, Africa, the Middle East) lies in no area.
_PREFIXES: Final = (("cn-", "CN"), ("ap-", "AP"), ("eu-", "EU"), ("us-", "NA"), ("ca-", "NA"), ("na-", "NA"))
#: Tencent calls its Chinese regions ap-…, too.
_CHINESE: Final = re.compile(r"ap-(beijing|shanghai|guangzhou|chengdu|chongqing|shenzhen)\b.*")
#: Whose names say where they are.
_TELLING: Final = (1, 2, 3, 7)


def area(vendor: int, region: int) -> str:
    """Empty: nobody can say, or none of the four."""
    name = VENDORS[vendor].regions.get(region, "") if vendor in _TELLING else ""
    if name == "cn-hongkong":  # some count it to China, some to Asia
        return ""
    if _CHINESE.fullmatch(name):
        return "CN"
    return next((found for prefix, found in _PREFIXES if name.startswith(prefix)), "")


def check_area(wanted: str, storage: orders.Storage) -> None:
    """Raises `BadParameter` when acquire named an area and the bucket surely lies in another."""
    found = area(storage.vendor, storage.region)
    check(
        not wanted or not found or found == wanted,
        f"{STORAGE}.region",
        f"lies in {found}, and acquire's region was {wanted}",
    )
