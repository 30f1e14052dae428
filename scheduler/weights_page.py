"""docs/reference/capacity.md, written from `scheduler.weights`: `python -m scheduler.weights_page > docs/reference/capacity.md`."""

from __future__ import annotations

import sys
from typing import Final

from models.vocabulary.spec import FolderStore, RecordingSpec
from scheduler import weights

HEAD: Final = """\
# Capacity and weights

A node takes recordings until their weights reach its capacity. Both are in hundredths of a core; capacity is 100 for each core unless
`REELYARD_NODE_CAPACITY` says otherwise. Placement is exact, also with several schedulers: each holds the node's row while it adds.
A weight reserves; nothing enforces it. A start that finds no node with room is refused by the contract's 50x (500/502), and its resourceId stays good;
with `reelyard app set APPID --when-full wait` it waits instead, answered by 206/65, and fails (502, "no node had room") after 90 s. This page is generated: `python -m scheduler.weights_page > docs/reference/capacity.md`.

## Mixed recording

The weight is known before anybody has come, so it counts on {expected} users, or on as many as `subscribeUids` names (at most {most}). H.264 High, 16:9, with sound:

| canvas | fps | {expected} users | 2 users | {most} users | recordings on 4 cores, {expected} users |
| --- | --- | --- | --- | --- | --- |
"""
TAIL: Final = """
## The others

| what | weight |
| --- | --- |
| sound alone, {expected} users | {audio} |
| individual, {expected} users, sound and pictures | {individual} |
| page recording | {page} |
| a finaliser | {finaliser} |

## From what it is made

| part | hundredths of a core |
| --- | --- |
| a recorder with nothing to do | {base} |
| each million pixels a second of canvas | {pixels} |
| each user with a picture | {video_user} |
| each user with sound | {audio_user} |
| the sound encoder | {encoder} |
| each track of a user that is copied | {copied} |
| each user's sound that becomes AAC by itself | {aac} |

A node that also runs its ingest on the same cores should give less than all of them; a quarter of a core for each room of a dozen publishers is on the safe side.
"""
CANVASES: Final = ((360, 640, 15), (640, 360, 15), (640, 360, 30), (1280, 720, 15), (1280, 720, 30), (1920, 1080, 30))
FOUR_CORES: Final = 400


def page() -> str:
    numbers = {"expected": weights.EXPECTED_USERS, "most": weights.MOST_USERS}
    rows = "".join(_row(*canvas) for canvas in CANVASES)
    parts = {
        "audio": weight(stream_types=0),
        "individual": weight(mode="individual"),
        "page": weights.PAGE,
        "finaliser": weights.FINALISER,
        "base": weights.BASE,
        "pixels": weights.PER_MEGAPIXEL_PER_S,
        "video_user": weights.PER_VIDEO_USER,
        "audio_user": weights.PER_AUDIO_USER,
        "encoder": weights.AUDIO_ENCODER,
        "copied": weights.PER_COPIED_USER,
        "aac": weights.PER_AAC_USER,
    }
    return HEAD.format(**numbers) + rows + TAIL.format(**numbers, **parts)


def _row(width: int, height: int, fps: int) -> str:
    video = {"width": width, "height": height, "fps": fps}
    expected, two, most = (weight(users, video=video) for users in (0, 2, weights.MOST_USERS))
    return f"| {width}×{height} | {fps} | {expected} | {two} | {most} | {FOUR_CORES // expected} |\n"


def weight(users: int = 0, **fields: object) -> int:
    """Of a recording of so many named users; 0: of whoever comes."""
    only = {"rule": "only", "uids": [str(n) for n in range(users)]}
    named = {"audio_from": only, "video_from": only} if users else {}
    identity = {"appid": "a", "cname": "c", "uid": "1", "channel": "whip:", "store": FolderStore(path="files")}
    return weights.weight(RecordingSpec.model_validate(identity | named | fields))


if __name__ == "__main__":
    sys.stdout.write(page())
