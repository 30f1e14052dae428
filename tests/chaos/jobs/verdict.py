"""What became of the jobs: judged by their files, by the road's log and by the records. Functions of values and files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import av

from farm.judge.playlist import Playlist, check_text, parse
from scheduler.jobs.view import Cause
from tests.chaos.jobs.road import Passed

NAMED: Final = frozenset(cause.value for cause in Cause)
#: What a job that did its work has at least.
LEAST_S: Final = 1.0
#: A playlist's word against the decoded sound, over all.
APART_S: Final = 0.25
_SID: Final = re.compile(r"/sid/([0-9a-f]+)/|/recordings/([0-9a-f]+)")
_RESOURCE: Final = re.compile(r"/resourceid/([^/]+)/")
GONE: Final = (8, 20)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`kind` is verified, failed (with a named cause) or bad."""

    kind: str
    why: str


def judge(job: Mapping[str, Any], store: Path, *, records: bool = False) -> Verdict:
    """A job that has ended, against its files. `records`: something still does in its channel."""
    if job["state"] == "failed":
        named = job["cause"] in NAMED and bool(job["reason"])
        return Verdict("failed" if named else "bad", job["cause"] if named else "it failed without a name")
    if job["state"] != "done" or job["cause"] not in NAMED:
        return Verdict("bad", f"it is {job['state']}")
    wrong = ["it is done, and still records"] if records else []
    seconds = 0.0
    for attempt in job["attempts"]:
        for name in attempt["files"]:
            lies = store / name
            if name.endswith(".m3u8") and lies.exists():
                wrong += problems(lies)
                seconds += length_s(lies)
    if seconds < LEAST_S:
        wrong.append(f"{seconds:.1f} s are in the store")
    return Verdict("bad", "; ".join(wrong[:3])) if wrong else Verdict("verified", "")


def length_s(path: Path) -> float:
    return sum(segment.duration_s for segment in parse(path)[0].segments)


def problems(path: Path) -> list[str]:
    """Of a playlist that should be complete; all of it is decoded."""
    playlist, wrong = parse(path)
    wrong = wrong + check_text(playlist)
    if not wrong and abs(sound_s(playlist) - length_s(path)) > APART_S:
        wrong.append(f"{path.name}: holds {sound_s(playlist):.2f} s, lists {length_s(path):.2f} s")
    return wrong


def sound_s(playlist: Playlist) -> float:
    """Decoded as a player does, one segment after the other."""
    stream = BytesIO(b"".join(segment.path.read_bytes() for segment in playlist.segments))
    try:
        with av.open(stream, "r", format="mpegts") as container:
            return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    except av.FFmpegError:
        return 0.0


def twice_on_the_road(passed: Iterable[Passed]) -> list[str]:
    """UIDs that were started while an earlier start of theirs in the channel was not seen to have ended. Who is it, by the
    gateway's own answers: a start that it accepted records until it says 404, or the record says how it ended.
    """
    resources: dict[str, tuple[str, str]] = {}
    sids: dict[str, tuple[tuple[str, str], str]] = {}
    live: dict[tuple[str, str], str] = {}
    found = []
    for call in passed:
        resource = match[1] if (match := _RESOURCE.search(call.path)) else ""
        if call.verb == "acquire" and call.status == 200:
            resources[call.answer["resourceId"]] = (call.cname, call.uid)
        elif call.verb == "start" and call.status in (200, 201, 206):
            who = (call.cname, call.uid)
            if live.get(who, resource) != resource:
                found.append(f"{call.uid} in {call.cname}")
            live[who] = resource
            if sid := call.answer.get("sid"):
                sids[sid] = (who, resource)
        elif (match := _SID.search(call.path)) and _says_gone(call):
            who, resource = sids.get(match[1] or match[2], (("", ""), ""))
            if live.get(who) == resource:
                live.pop(who, None)
    return found


def _says_gone(call: Passed) -> bool:
    if call.verb == "record":
        return call.status == 200 and call.answer.get("status") in GONE
    return call.verb in ("query", "stop") and call.status == 404


@dataclass(frozen=True, slots=True)
class Span:
    """A recording on record."""

    cname: str
    uid: str
    begun_ms: int
    ended_ms: int | None


def twice_on_record(spans: Iterable[Span]) -> list[str]:
    """UIDs of which two recordings stood in a channel at once."""
    found = []
    until: dict[tuple[str, str], int | None] = {}
    for span in sorted(spans, key=lambda span: span.begun_ms):
        who = (span.cname, span.uid)
        before = until.get(who, 0)
        if before is None or before > span.begun_ms:
            found.append(f"{span.uid} in {span.cname}")
        until[who] = span.ended_ms
    return found
