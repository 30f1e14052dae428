"""An individual recording as its last index tells of it: each stream's segments and holes on the recording's clock. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from models.vocabulary.states import HoleState
from models.vocabulary.streams import Shape, Stream
from models.vocabulary.ticks import ticks

#: More than a day has: of one recording's segments, streams and holes each.
_MOST: Final = 1_000_000
_MAX_S: Final = 366 * 86_400

Seconds = Annotated[float, Field(ge=0, le=_MAX_S, allow_inf_nan=False)]


class Indexed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Span(Indexed):
    start_s: Seconds
    end_s: Seconds

    @property
    def start_90k(self) -> int:
        return ticks(self.start_s)

    @property
    def end_90k(self) -> int:
        return ticks(self.end_s)


class Segment(Span):
    key: Annotated[str, Field(min_length=1, max_length=1200)]
    bytes: Annotated[int, Field(ge=0)]
    md5: str
    shape: Annotated[str, Field(max_length=24)] = ""

    @property
    def rotation(self) -> int:
        shape = Shape.parse(self.shape)
        return 0 if shape is None else shape.rotation


class Hole(Span):
    state: HoleState


class IndexedStream(Indexed):
    uid: Annotated[str, Field(max_length=128)]
    type: Annotated[str, Field(pattern=r"^(audio|video)(-[a-z0-9]+)*$", max_length=64)]
    segments: Annotated[tuple[Segment, ...], Field(max_length=_MOST)] = ()
    holes: Annotated[tuple[Hole, ...], Field(max_length=_MOST)] = ()

    @property
    def stream(self) -> Stream:
        return Stream(self.uid, self.type)


class IndexedUser(Indexed):
    uid: Annotated[str, Field(max_length=128)]


class Recorded(Indexed):
    """The index of `workers.index`. `streams` None: what was recorded was a mix."""

    version: int
    sid: str
    appid: str
    cname: str
    final: bool
    started: AwareDatetime | None = None  # the wall's time of tick 0
    users: Annotated[tuple[IndexedUser, ...], Field(max_length=_MOST)] = ()  # in the order in which they came
    streams: Annotated[tuple[IndexedStream, ...], Field(max_length=_MOST)] | None = None

    def segments(self) -> Iterator[Segment]:
        for stream in self.streams or ():
            yield from stream.segments

    @property
    def t0_ms(self) -> int:
        """Unix time of the recording's zero; of an empty recording, 0."""
        return 0 if self.started is None else round(self.started.timestamp() * 1000)

    @property
    def end_90k(self) -> int:
        return max((segment.end_90k for segment in self.segments()), default=0)

    def has(self, medium: str) -> bool:
        return any(s.segments for s in self.streams or () if s.stream.medium == medium)

    def without(self, missing: frozenset[str]) -> Recorded:
        """As if the segments of these keys had been lost."""
        left = [
            stream.model_copy(update={"segments": tuple(s for s in stream.segments if s.key not in missing)})
            for stream in self.streams or ()
        ]
        return self.model_copy(update={"streams": tuple(left)})
