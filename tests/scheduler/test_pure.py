"""The pure parts: placement, weights, the watch, faults, back-off."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from models.vocabulary import errors as e
from models.vocabulary.spec import FolderStore, Mode, RecordingSpec, Selection, VideoSpec
from scheduler import backoff, faults, placement, weights
from scheduler.placement import Ask, Seat
from scheduler.watch import Watch

seats = st.lists(
    st.builds(
        Seat,
        name=st.text("abcdef", min_size=1, max_size=3),
        capacity=st.integers(0, 400),
        used=st.integers(0, 400),
        draining=st.booleans(),
        cordoned=st.booleans(),
        missed=st.integers(0, 3),
        ingest=st.booleans(),
    ),
    unique_by=lambda seat: seat.name,
)


@given(seats, st.integers(1, 200), st.sampled_from("abc"))
def test_every_ranked_node_is_open_and_has_room(nodes: list[Seat], weight: int, prefer: str) -> None:
    by_name = {seat.name: seat for seat in nodes}
    names = placement.ranked(nodes, weight, prefer=prefer)
    for name in names:
        seat = by_name[name]
        assert not seat.draining
        assert not seat.cordoned
        assert seat.used + weight <= seat.capacity
    left_out = set(by_name) - set(names)
    assert all(not by_name[n].open or by_name[n].used + weight > by_name[n].capacity for n in left_out)


@given(seats, st.integers(1, 200), st.randoms())
def test_the_ranking_does_not_depend_on_the_order_of_the_nodes(nodes: list[Seat], weight: int, chance: object) -> None:
    shuffled = list(reversed(nodes))
    assert placement.ranked(nodes, weight) == placement.ranked(shuffled, weight)


def test_the_ranking_goes_by_misses_then_suspicion_then_the_room_then_load() -> None:
    nodes = [
        Seat("missed", 400, 0, missed=2),
        Seat("suspect", 400, 0),
        Seat("busy", 400, 300),
        Seat("idle", 400, 0),
        Seat("room", 400, 350),
    ]
    ranked = placement.ranked(nodes, 20, prefer="room", avoid={"suspect"})
    assert ranked == ["room", "idle", "busy", "suspect", "missed"]


@given(seats, st.lists(st.tuples(st.integers(1, 200), st.sampled_from("abc")), max_size=8))
def test_many_are_seated_as_one_after_the_other_would_be(nodes: list[Seat], asked: list[tuple[int, str]]) -> None:
    asks = [Ask(str(n), weight, prefer, avoid={"b"}) for n, (weight, prefer) in enumerate(asked)]
    found = placement.seated(asks, nodes)
    left = list(nodes)
    for ask in asks:
        first = next(iter(placement.ranked(left, ask.weight, prefer=ask.prefer, avoid=ask.avoid)), None)
        assert found.get(ask.key) == first
        left = [replace(s, used=s.used + ask.weight) if s.name == first else s for s in left]
    assert all(seat.used <= max(seat.capacity, before.used) for seat, before in zip(left, nodes, strict=True))


def test_a_new_room_goes_to_an_open_ingest() -> None:
    nodes = [Seat("a", 100, 0), Seat("b", 100, 50, ingest=True), Seat("c", 100, 0, ingest=True, draining=True)]
    assert placement.choose_ingest(nodes) == "b"
    assert placement.choose_ingest(nodes[:1]) is None


def spec(**changes: object) -> RecordingSpec:
    said = {"appid": "a", "cname": "c", "uid": "1", "channel": "whip:", "store": FolderStore(path="f")} | changes
    return RecordingSpec.model_validate(said)


def test_weights_follow_what_was_measured() -> None:
    default = weights.weight(spec())
    seventeen = weights.weight(spec(video_from=Selection(rule="only", uids=tuple(map(str, range(17))))))
    assert 13 <= default <= 30, "four users cost 13 % of a core, seventeen 30 %"
    assert 30 <= seventeen <= 45
    full_hd = weights.weight(spec(video=VideoSpec(width=1920, height=1080, fps=30)))
    assert full_hd >= 81 + 10
    assert weights.weight(spec(stream_types=0)) < 10 < weights.weight(spec(mode=Mode.WEB))
    assert weights.weight(spec(mode=Mode.INDIVIDUAL)) < default


def test_who_stops_renewing_is_stuck_and_who_goes_on_is_not() -> None:
    watch = Watch(patience_s=18, gap_s=6)
    for second in range(20):
        watch.look({("dead", 1): 7, ("alive", 1): second // 2}, float(second))
    assert watch.stuck(19.0) == [("dead", 1)]


def test_what_the_watch_could_not_see_proves_nothing() -> None:
    watch = Watch(patience_s=18, gap_s=6)
    watch.look({("a", 1): 7}, 0.0)
    watch.look({("a", 1): 7}, 100.0)
    assert watch.stuck(100.0) == []
    watch.look({("a", 1): 7}, 105.0)
    watch.forget()
    assert watch.stuck(1_000.0) == []


def test_a_fault_becomes_the_error_of_the_table_that_made_it() -> None:
    for cls in (e.StoreRefused, e.StoreTokenExpired, e.ChannelRefused, e.StoreUnavailable, e.Poisoned, e.DiskFull):
        fault = {"code": cls.code, "scope": cls.scope.value, "retryable": cls.retryable, "text": "so it was"}
        error = faults.error_of(fault)
        assert type(error) is cls
        assert error.text.startswith("so it was (")
    assert isinstance(faults.error_of(None, "gone"), e.Internal)
    assert isinstance(faults.error_of({"code": 123456, "text": "strange"}), e.Internal)


def test_the_end_of_a_recording_is_told_in_a_sentence() -> None:
    ended = faults.what_happened(status=8, reason="idle", fault=None, ended_ms=0)
    assert ended == "the recording ended at 1970-01-01T00:00:00.000Z: idle"
    fault = {"code": 32, "scope": "caller", "retryable": False, "text": "bad key"}
    failed = faults.what_happened(status=20, reason="bad key", fault=fault, ended_ms=None)
    assert failed.startswith("the recording failed: bad key (to be mended by the caller")


@given(st.integers(0, 1_000))
def test_the_wait_grows_and_is_bounded(deaths: int) -> None:
    assert 0 <= backoff.after_deaths_ms(deaths) <= backoff.after_deaths_ms(deaths + 1) <= backoff.LONGEST_MS
