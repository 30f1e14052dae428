"""What the journal of an individual recording becomes: tracks, holes, notices, and a file list with an item for each."""

from __future__ import annotations

from models.database import Database
from models.repositories import notices, recordings, resources, snapshots, timeline
from models.vocabulary import events, journal
from models.vocabulary.events import Event
from models.vocabulary.states import HoleState
from tests.models.farm import APPID, SECRETS, app, node, spec, tenure
from workers import bookkeeping
from workers.bookkeeping import Grantee

S = 90_000
T0_MS = 1_767_225_600_000


def slice_(track: str, start_s: int, end_s: int, shape: str = "") -> journal.Slice:
    key, at = f"{track.replace('/', '_')}{start_s}.ts", {"start_90k": start_s * S, "end_90k": end_s * S}
    return journal.Slice(track=track, key=key, file=key, bytes=9, md5="0" * 32, shape=shape, **at)


def stored(entry: journal.Slice | journal.Snapshot) -> journal.Stored:
    return journal.Stored(track=entry.track, key=entry.key)


def test_each_stream_is_told_begun_and_listed_by_itself(database: Database) -> None:
    with database.unit() as session:
        app(session, notice_url="https://example.org/notices")
        node(session)
        resource = resources.acquire(session, appid=APPID, cname="room", uid="1", options={}, ttl_ms=300_000)
        wish = spec(mode="individual")
        recordings.create(session, sid="s1", resource=resource, spec=wish, secrets=SECRETS, weight=9, warnings=[])
        claim = tenure(session)
    who = Grantee("s1", claim.epoch, claim.owner)
    video, sound = slice_("a/video", 0, 7, "640x360@0"), slice_("a/audio", 0, 6)
    taken = journal.Snapshot(track="a/video", at_90k=0, key="a.jpg", file="a.jpg", bytes=3, md5="0" * 32)
    absent = {"start_90k": 7 * S, "end_90k": 20 * S, "cause": "away", "state": HoleState.PAUSED}
    facts: list[journal.AnyEntry] = [
        journal.Zero(t0_ms=T0_MS, clock_id="c", zero_s=0.0),
        journal.First(track="", at_90k=0),
        taken,
        stored(taken),
        video,
        sound,
        stored(video),
        stored(sound),
        journal.Gap(track="a/video", **absent),
        slice_("a/video", 20, 26),
        journal.Gap(track="a/audio", start_90k=6 * S, end_90k=8 * S, cause="the recorder died"),
        journal.Warm(at_90k=2 * S),
    ]
    for _ in range(2):  # a journal may be read again
        with database.unit() as session:
            outcome = bookkeeping.commit(session, who, list(enumerate(facts, start=1)), slot_90k=6 * S, ending=False)
            if outcome.stored:
                bookkeeping.first_file(session, who)
    with database.unit() as session:
        assert outcome.refused == []
        assert timeline.reach(session, "s1") == 26 * S
        assert (snapshots.count(session, "s1"), snapshots.count(session, "s1", waiting=True)) == (1, 0)
        _, holes = timeline.rows(session, "s1", "a/video")
        assert [(h.start_90k, h.end_90k, h.state) for h in holes] == [(7 * S, 20 * S, HoleState.PAUSED)]
        items = events.stream_items((), "s1", "room", timeline.streams(session, "s1"), t0_ms=T0_MS)
        told = [(n.event, n.details) for n in notices.of(session, "s1")]
    assert [(i["uid"], i["trackType"], i["isPlayable"], i["sliceStartTime"]) for i in items] == [
        ("a", "audio", True, T0_MS),
        ("a", "video", False, T0_MS),
    ]
    begun = [d for event, d in told if event == Event.SLICE_START]
    assert [(d["streamUid"], d["trackType"], d["mixedAllUser"], d["startUtcMs"] - T0_MS) for d in begun] == [
        ("a", "video", False, 0),
        ("a", "audio", False, 0),
        ("a", "audio", False, 8_000),
    ]
    assert [d["fileName"] for event, d in told if event == Event.SNAPSHOT_FILE] == ["a.jpg"]
    assert [d["fileList"] for event, d in told if event == Event.FILE_INFOS] == ["s1_room__uid_s_a__uid_e_audio.m3u8"]
