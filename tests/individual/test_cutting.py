"""Where slices begin, from ticks and flags alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.vocabulary import keys
from models.vocabulary.channel import Track, TrackKind, TrackSource
from models.vocabulary.playlist import Entry
from models.vocabulary.streams import Shape, Stream, stream_of
from models.vocabulary.ticks import TICKS_PER_S
from tests.individual.streams import spec
from workers.playlists import documents
from workers.recorder.individual.cutting import FORCED_90K, Cuts, Look, Stamps, Verdict, edge

S = TICKS_PER_S
SLOT = 6 * S
LOOK = Look("h264", 640, 360)

#: A millisecond apart or more: nearer ones share an edge.
Units = st.lists(st.tuples(st.integers(90, 4 * S), st.booleans()), min_size=1, max_size=60)


def edges(units: list[tuple[int, bool]]) -> list[int]:
    """Where a recorder that hears these units (tick, key) begins its slices."""
    cuts, begun = Cuts(SLOT, keyed=True), []
    for at, key in units:
        match cuts.judge(at, key=key, look=LOOK if key else None, size=100):
            case Verdict.OPEN:
                start = edge(at) if cuts.start_90k is None else max(edge(at), cuts.ends(at))
                begun.append(start)
                cuts.opened(start, at, LOOK, 100)
            case Verdict.ADD:
                cuts.added(at, 100)
            case Verdict.DROP:
                pass
    return begun


@given(Units, st.integers(0, 59))
def test_who_begins_later_cuts_where_the_others_cut_from_the_next_slot_on(
    steps: list[tuple[int, bool]], skipped: int
) -> None:
    units, at = [], 0
    for step, key in steps:
        at += step
        units.append((at, key))
    late = units[skipped:]
    if not late:
        return
    own = edges(late)
    known = edges(units)
    assert set(own[1:]) == {e for e in known if own and e > own[0]}


@given(Units)
def test_no_slice_begins_without_a_key_unit_and_edges_are_whole_milliseconds(steps: list[tuple[int, bool]]) -> None:
    units, at = [], 0
    for step, key in steps:
        at += step
        units.append((at, key))
    keys_at = {edge(at) for at, key in units if key}
    assert all(start in keys_at and start % 90 == 0 for start in edges(units))


def test_without_a_key_unit_h264_is_cut_by_force_and_others_wait() -> None:
    for forced, verdict in ((True, Verdict.OPEN), (False, Verdict.ADD)):
        cuts = Cuts(SLOT, keyed=True, forced=forced)
        cuts.opened(0, 0, LOOK, 1)
        assert cuts.judge(FORCED_90K, key=False, look=None, size=1) is verdict


@given(st.lists(st.integers(0, 40), min_size=1, max_size=50), st.booleans())
def test_stamps_of_a_decoder_go_forward_and_never_behind_the_picture(jumps: list[int], reordered: bool) -> None:
    stamps, last = Stamps(), None
    for n, jump in enumerate(jumps):
        at = n * 3_000 + jump * (300 if reordered else 0)
        pts, dts = stamps.stamp(at, reordered=reordered)
        assert dts <= pts
        assert pts == at
        assert last is None or dts > last
        last = dts


def test_no_two_users_share_a_name_and_no_name_leaves_its_folder() -> None:
    uids = ["a/b", "a-b", "a\\b", "…" * 64, "…" * 63, "527841"]
    names = {
        keys.stream_segment_name("5" * 32, "room", Stream(uid, "video"), 1_767_225_600_000, 0, 1, ".ts") for uid in uids
    }
    assert len(names) == len(uids)
    assert all("/" not in name and len(name.encode()) <= 240 for name in names)
    assert "5" * 32 + "_room__uid_s_527841__uid_e_video_20260101000000001.ts" in names


def test_a_users_second_camera_and_his_screen_have_streams_of_their_own() -> None:
    def track(source: TrackSource) -> Track:
        return Track("t", "u", TrackKind.VIDEO, source, "h264")

    assert stream_of(track(TrackSource.CAMERA), []).track == "u/video"
    assert stream_of(track(TrackSource.CAMERA), ["u/video"]).track == "u/video-2"
    assert stream_of(track(TrackSource.SCREEN), ["u/video"]).track == "u/video-screen"
    assert Stream.of("a/b/video-screen") == Stream("a/b", "video-screen")
    assert Stream("u", "video-screen").medium == "video"


def test_standard_joins_what_a_player_can_read_and_nothing_else() -> None:
    wish = spec("scripted:", stream_mode="standard")
    found = {
        "a/audio": [Entry(0, 2 * S, "a1.ts", bytes=2_000)],
        "a/video": [Entry(0, 2 * S, "v1.ts", str(Shape(640, 360)), 100_000)],
        "b/audio": [Entry(0, 2 * S, "b1.ts")],
        "b/video": [Entry(0, 2 * S, "w1.webm", str(Shape(640, 360)))],
        "c/video": [],
    }
    made = dict(documents(wish, "s", list(found), lambda track: found[track], t0_ms=0, ended=True))
    assert set(made) == {
        *(f"s_room__uid_s_{uid}__uid_e_{type_}.m3u8" for uid in "ab" for type_ in ("audio", "video")),
        "s_room__uid_s_a__uid_e_av.m3u8",
    }
    joined = made["s_room__uid_s_a__uid_e_av.m3u8"]
    assert 'URI="s_room__uid_s_a__uid_e_audio.m3u8"' in joined
    assert "RESOLUTION=640x360" in joined
    assert joined.endswith("s_room__uid_s_a__uid_e_video.m3u8\n")
