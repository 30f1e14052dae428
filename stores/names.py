"""Keys of objects: what is a key at all, and what its file is."""

from __future__ import annotations

from typing import Final

from models.vocabulary.errors import BadParameter

MAX_KEY_BYTES: Final = 1_024  # S3's bound
MAX_PART_BYTES: Final = 255  # a file name's bound, so that every key fits every store
#: Files that a folder store is still writing; no key may look like one.
TEMPORARY: Final = ".reelyard-"
#: Players refuse a playlist that says it is text; several vendors guess so when told nothing.
CONTENT_TYPES: Final = {
    "m3u8": "application/vnd.apple.mpegurl",
    "ts": "video/mp2t",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "json": "application/json",
    "aac": "audio/aac",
    "png": "image/png",
    "jpg": "image/jpeg",
}


def content_type(key: str) -> str:
    return CONTENT_TYPES.get(key.rpartition(".")[2].lower(), "application/octet-stream")


def checked(key: str) -> str:
    """The key itself, when it stays inside its store whatever the store takes it for. Raises `BadParameter`."""
    try:
        size = len(key.encode())
        parts = [(part, len(part.encode())) for part in key.split("/")]
    except UnicodeEncodeError as error:
        raise BadParameter("an object's key is not Unicode text") from error
    if size > MAX_KEY_BYTES or any(length > MAX_PART_BYTES for _, length in parts):
        raise BadParameter(
            f"an object's key is longer than {MAX_KEY_BYTES} bytes, or a part of it than {MAX_PART_BYTES}"
        )
    if any(part in ("", ".", "..") or part.startswith(TEMPORARY) for part, _ in parts):
        raise BadParameter("an object's key has an empty part, or one that names another folder")
    if any(ord(c) < 32 or c in "\\\x7f" for c in key):
        raise BadParameter("an object's key has a control character or a backslash")
    return key
