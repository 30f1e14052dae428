"""A script as a function of time: what happens when, and what each track is like from when to when. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import inf
from typing import Final

from models.vocabulary.channel import Closing, EventKind, Track, TrackKind, TrackSource, User
from models.vocabulary.errors import ChannelAddressInvalid
from workers.recorder.capture import script as does
from workers.recorder.capture.script import Medium, Script, ScriptUser
from workers.synthetic.plan import MediaPlan

COLOURS: Final = ("#c1121f", "#2a6f97", "#2d6a4f", "#7b2cbf", "#b5651d", "#006d77", "#9d0208", "#3a5a40")
#: Added to a user's number in the pictures of his screen.
SCREEN_NO: Final = 128
_SOURCES: Final[Mapping[Medium, TrackSource]] = {
    "audio": TrackSource.MICROPHONE,
    "video": TrackSource.CAMERA,
    "screen": TrackSource.SCREEN,
}


@dataclass(frozen=True, slots=True)
class Span:
    """What a track is like during [from_s, to_s) of the script's time."""

    from_s: float
    to_s: float
    plan: MediaPlan
    muted: bool = False
    stalled: bool = False
    corrupt: bool = False
    loss_pct: float = 0.0


@dataclass(frozen=True, slots=True)
class Publication:
    track: Track
    spans: tuple[Span, ...]  # gapless, in order
    drift_ppm: float

    @property
    def to_s(self) -> float:
        return self.spans[-1].to_s if self.spans else -inf


_ENDS: Final = {
    "closed": ("the scene is over", Closing.CLOSED),
    "abrupt": ("connection lost", Closing.CLOSED),
    "kicked": ("thrown out", Closing.KICKED),
    "token": ("the token ran out", Closing.EXPIRED),
}


@dataclass(frozen=True, slots=True)
class Happening:
    at_s: float
    kind: EventKind
    user: User | None = None
    track: Track | None = None
    detail: str = ""
    closing: Closing = Closing.CLOSED


@dataclass(frozen=True, slots=True)
class Timeline:
    happenings: tuple[Happening, ...]  # in order of time
    publications: Mapping[str, Publication]  # by track id

    def snapshot(self, at_s: float) -> list[Happening]:
        """Who and what is there after all that happened up to `at_s`, in the order in which it came."""
        users: dict[str, Happening] = {}
        tracks: dict[str, Happening] = {}
        muted: dict[str, Happening] = {}
        for it in self.happenings:
            if it.at_s > at_s:
                break
            match it.kind:
                case EventKind.JOINED if it.user:
                    users[it.user.id] = it
                case EventKind.LEFT if it.user:
                    users.pop(it.user.id, None)
                case EventKind.TRACK_ADDED if it.track:
                    tracks[it.track.id] = it
                case EventKind.TRACK_REMOVED if it.track:
                    tracks.pop(it.track.id, None)
                    muted.pop(it.track.id, None)
                case EventKind.MUTED if it.track:
                    muted[it.track.id] = it
                case EventKind.UNMUTED if it.track:
                    muted.pop(it.track.id, None)
                case _:  # the room's own events are no part of who is there
                    pass
        return [*users.values(), *tracks.values(), *muted.values()]

    @property
    def ends_s(self) -> float:
        last = self.happenings[-1] if self.happenings else None
        return last.at_s if last and last.kind is EventKind.CLOSED else inf


def compile_script(script: Script) -> Timeline:
    """Raises `ChannelAddressInvalid` where a user does what he cannot (publish before he joins)."""
    happenings: list[Happening] = []
    publications: dict[str, Publication] = {}
    for n, user in enumerate(script.users, start=1):
        part = _Part(user, user.number or n)
        for round_no in range(script.repeat):
            _play_round(part, script, round_no)
        happenings.extend(part.happenings)
        publications.update({it.track.id: it for it in part.publications})
    happenings.sort(key=lambda it: it.at_s)
    if script.duration_s is not None:
        detail, closing = _ENDS[script.end]
        happenings.append(
            Happening(script.duration_s * script.repeat, EventKind.CLOSED, detail=detail, closing=closing)
        )
    return Timeline(tuple(happenings), publications)


def _play_round(part: _Part, script: Script, round_no: int) -> None:
    length_s = script.duration_s or inf
    begin_s = round_no * (script.duration_s or 0.0)
    last = round_no == script.repeat - 1
    for action in sorted(part.script.actions, key=lambda it: it.at_s):
        if action.at_s < length_s:
            part.act(action, begin_s + action.at_s, until_s=begin_s + length_s)
    part.end(begin_s + length_s, told=script.duration_s is not None and not (last and script.end != "closed"))


@dataclass(slots=True)
class _Open:
    """A publication under way: its looks so far, each with the time from which it holds."""

    track: Track
    looks: list[tuple[float, MediaPlan, bool]]


@dataclass(slots=True)
class _Part:
    """One user's part, played through once."""

    script: ScriptUser
    number: int
    present: bool = False
    codec: does.Codec = "h264"
    size: tuple[int, int] = (640, 360)
    rotation: int = 0
    open: dict[Medium, _Open] = field(default_factory=dict)
    muted: set[Medium] = field(default_factory=set)
    before: tuple[Medium, ...] = ()
    count: int = 0
    faults: list[tuple[float, float, does.Fault]] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)
    publications: list[Publication] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reset()

    def act(self, action: does.Action, at_s: float, until_s: float) -> None:
        match action:
            case does.Join():
                self._join(at_s)
            case does.Rejoin():
                self._join(at_s)
                self._publish(self.before, at_s)
            case does.Leave():
                self._need_present(action)
                self._leave(at_s)
            case does.Publish():
                self._need_present(action)
                self._publish(action.what, at_s)
            case does.Unpublish():
                self._unpublish(action.what, at_s)
            case does.Mute():
                self._mute(action.what, at_s)
            case does.Unmute():
                self._unmute(action.what, at_s)
            case does.Fault():
                self.faults.append((at_s, min(until_s, at_s + action.for_s), action))
            case does.Rotate():
                self.rotation = action.degrees
            case does.Resize():
                self.size = action.width, action.height
            case does.ChangeCodec():
                self.codec = action.codec
        self._look_again(at_s)

    def end(self, at_s: float, *, told: bool) -> None:
        """The round is over for everybody; `told`: it is seen as leaving."""
        if self.present and told:
            self._leave(at_s)
        for medium in list(self.open):
            self._close(medium, at_s)
        self.faults.clear()
        self._reset()

    def _reset(self) -> None:
        self.present, self.before, self.muted = False, (), set()
        self.codec, self.size, self.rotation = self.script.codec, (self.script.width, self.script.height), 0

    @property
    def _user(self) -> User:
        return User(self.script.id, self.script.role, self.script.client, self.script.name)

    def _need_present(self, action: does.Action) -> None:
        if not self.present:
            what = getattr(action, "do", "act")
            raise ChannelAddressInvalid(
                f"script: {self.script.id} cannot {what} at {action.at_s} s, he is not in the room"
            )

    def _tell(self, at_s: float, kind: EventKind, track: Track | None = None) -> None:
        self.happenings.append(Happening(at_s, kind, self._user, track))

    def _join(self, at_s: float) -> None:
        if self.present:
            raise ChannelAddressInvalid(f"script: {self.script.id} joins twice")
        self.present = True
        self._tell(at_s, EventKind.JOINED)

    def _leave(self, at_s: float) -> None:
        self.before = tuple(self.open)
        self._unpublish(self.before, at_s)
        self.present, self.muted = False, set()
        self._tell(at_s, EventKind.LEFT)

    def _publish(self, media: Iterable[Medium], at_s: float) -> None:
        for medium in media:
            if medium in self.open:
                continue
            self.count += 1
            kind = TrackKind.AUDIO if medium == "audio" else TrackKind.VIDEO
            codec = "opus" if medium == "audio" else self.codec
            track = Track(f"{self.script.id}/{medium}/{self.count}", self.script.id, kind, _SOURCES[medium], codec)
            self.open[medium] = _Open(track, [(at_s, self._plan(medium), medium in self.muted)])
            self._tell(at_s, EventKind.TRACK_ADDED, track)
            if medium in self.muted:
                self._tell(at_s, EventKind.MUTED, track)

    def _unpublish(self, media: Iterable[Medium], at_s: float) -> None:
        for medium in media:
            if medium in self.open:
                self._tell(at_s, EventKind.TRACK_REMOVED, self.open[medium].track)
                self._close(medium, at_s)

    def _mute(self, media: Iterable[Medium], at_s: float) -> None:
        for medium in media:
            if medium not in self.muted and medium in self.open:
                self._tell(at_s, EventKind.MUTED, self.open[medium].track)
            self.muted.add(medium)

    def _unmute(self, media: Iterable[Medium], at_s: float) -> None:
        for medium in media:
            if medium in self.muted and medium in self.open:
                self._tell(at_s, EventKind.UNMUTED, self.open[medium].track)
            self.muted.discard(medium)

    def _plan(self, medium: Medium) -> MediaPlan:
        width, height = self.size
        screen = medium == "screen"
        return MediaPlan(
            user_no=self.number + (SCREEN_NO if screen else 0),
            codec=self.codec,
            width=width,
            height=height,
            fps=self.script.fps,
            colour=self.script.colour or COLOURS[(self.number - 1) % len(COLOURS)],
            name=(self.script.name or self.script.id) + (" (screen)" if screen else ""),
            gop_s=self.script.gop_s,
            rotation=0 if screen else self.rotation,  # type: ignore[arg-type]  # validated by the script
        )

    def _look_again(self, at_s: float) -> None:
        for medium, it in self.open.items():
            look = self._plan(medium), medium in self.muted
            if look != it.looks[-1][1:]:
                it.looks.append((at_s, *look))

    def _close(self, medium: Medium, at_s: float) -> None:
        it = self.open.pop(medium)
        faults = [fault for fault in self.faults if medium in fault[2].what]
        spans = tuple(_spans(it.looks, faults, at_s))
        self.publications.append(Publication(it.track, spans, self.script.drift_ppm))


def _spans(
    looks: list[tuple[float, MediaPlan, bool]], faults: list[tuple[float, float, does.Fault]], end_s: float
) -> Iterable[Span]:
    """Cut wherever the look or a fault changes."""
    edges = {look[0] for look in looks} | {edge for fault in faults for edge in fault[:2]} | {end_s}
    inside = sorted(edge for edge in edges if looks[0][0] <= edge <= end_s)
    for from_s, to_s in pairwise(inside):
        plan, muted = next(look[1:] for look in reversed(looks) if look[0] <= from_s)
        span = Span(from_s, to_s, plan, muted)
        for begin_s, until_s, fault in faults:
            if begin_s <= from_s < until_s:
                span = _with_fault(span, fault)
        yield span


def _with_fault(span: Span, fault: does.Fault) -> Span:
    match fault:
        case does.Corrupt():
            return replace(span, corrupt=True)
        case does.Stall():
            return replace(span, stalled=True)
        case does.Loss():
            return replace(span, loss_pct=fault.percent)
        case _:
            return replace(span, plan=replace(span.plan, silent=True))
