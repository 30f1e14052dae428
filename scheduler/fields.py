"""What the rules of the contract's fields share: names of blocks, and how a wrong value is told. Pure."""

from __future__ import annotations

import re
from typing import Final

from models.vocabulary.errors import BadParameter

RECORDING_CONFIG: Final = "clientRequest.recordingConfig"
TRANSCODING: Final = f"{RECORDING_CONFIG}.transcodingConfig"
STORAGE: Final = "clientRequest.storageConfig"
SUBSCRIBE: Final = "clientRequest.streamSubscribe"
SERVICES: Final = "clientRequest.extensionServiceConfig.extensionServices"

MAX_LIST: Final = 32
MAX_URL: Final = 2_000
URL: Final = re.compile(r"https?://[^\s]{1,1990}")


def check(condition: bool, field: str, rule: str) -> None:
    """Raises `BadParameter` naming the field and the rule that it breaks."""
    if not condition:
        raise BadParameter(f"{field} {rule}")


def within(value: int, low: int, high: int, field: str, unit: str = "") -> None:
    check(low <= value <= high, field, f"must be from {low} to {high}{unit}")


def check_outputs(outputs: tuple[str, ...], where: str) -> None:
    check(len(outputs) == 1, where, "must hold one output")
    check(
        len(outputs[0]) <= MAX_URL and outputs[0].startswith(("rtmp://", "rtmps://")),
        f"{where}[0].rtmpUrl",
        "must be an rtmp:// or rtmps:// address",
    )
