"""Examples of what the farm says about recordings and their files, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

SID: Final = "38f8e3cfdc474cd56fc1ceba380d7e1a"
FILE: Final[dict[str, Any]] = {
    "name": f"{SID}_lesson-7_0.mp4", "key": f"{SID}_lesson-7_0.mp4", "kind": "mp4", "state": "stored",
    "bytes": 4200000, "md5": "9e107d9d372bb6826bd81d3542a419d6", "duration_s": 58.6, "started_ms": 1780000003200,
    "error": "", "store": "primary",
}  # fmt: skip
LISTED: Final[dict[str, Any]] = {
    "sid": SID, "cname": "lesson-7", "uid": "527841", "mode": "mix", "status": 8, "created_ms": 1780000000000,
    "started_ms": 1780000003200, "ended_ms": 1780000063200, "recorded_s": 58.6, "stored_s": 58.6, "own_store": True,
    "files": [FILE],
}  # fmt: skip
SEGMENT: Final = {
    "name": f"{SID}_lesson-7_20260528202643200.ts", "track": "mix", "state": "stored", "bytes": 450000,
    "md5": "e4d909c290d0fb1ca068ffaddf22cbd0", "start_s": 0.0, "duration_s": 6.0, "store": "primary",
}  # fmt: skip
PLAY: Final = f"/v1/apps/APPID/recordings/{SID}/play/{SID}_lesson-7.m3u8?token=TOKEN"
LINK: Final = {
    "token": "TOKEN", "until_s": 1780003600, "playlist": PLAY,
    "playlists": [{"name": f"{SID}_lesson-7.m3u8", "path": PLAY}],
    "files": [{"name": FILE["name"], "path": f"/v1/apps/APPID/recordings/{SID}/files/{FILE['name']}?token=TOKEN"}],
}  # fmt: skip
SNAPSHOT: Final = {
    "name": f"{SID}_lesson-7__uid_s_527841__uid_e_video_20260528202643200.jpg", "uid": "527841", "state": "stored",
    "bytes": 31000, "md5": "1a79a4d60de6718e8e5b326e338ae533", "error": "", "store": "primary",
}  # fmt: skip
PLAYED: Final = "#EXTM3U\n…\n#EXTINF:6.000000,\nhttps://bucket.example.org/…_20260528202643200.ts?X-Amz-Signature=…\n"
LINE: Final = {
    "sid": SID, "cname": "lesson-7", "uid": "527841", "mode": "mix", "status": 8,
    "wanted": "stop", "reason": "stop called", "created_ms": 1780000000000, "started_ms": 1780000003200,
    "ended_ms": 1780000063200,
}  # fmt: skip
RECORD: Final = LINE | {
    "resource_id": "RESOURCE_ID", "wanted_cause": "stop called", "fault": None, "weight": 60, "uploading": "uploaded",
    "what_happened": "the recording ended at 2026-05-28T20:27:43.200Z: stop called", "keep_until_ms": 1782592063200,
    "warnings": ["clientRequest.token is null and counts as not given"], "spec": {},
    "segments": {"count": 10, "stored": 10, "bytes": 4500000, "duration_s": 60.0},
    "holes": [{"track": "mix", "start_s": 12.0, "end_s": 13.4, "state": "lost", "cause": "the recorder died"}],
    "files": [{"key": f"{SID}_lesson-7.m3u8", "kind": "playlist", "bytes": 1200, "final": True,
               "store": "primary", "error": ""}],
    "tenures": [{"epoch": 1, "node": "node-a", "role": "primary", "state": "ended", "created_ms": 1780000000000,
                 "ended_ms": 1780000063200, "cause": "all is stored"}],
    "notices": [],
}  # fmt: skip
