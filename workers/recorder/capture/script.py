"""The script of a scripted channel: who is in the room and what he does, as JSON (docs/reference/script.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.vocabulary.channel import ClientKind, UserRole
from models.vocabulary.errors import ChannelAddressInvalid

MAX_BYTES: Final = 1_000_000
MAX_S: Final = 7 * 86_400
#: Actions of a whole scene, all rounds counted.
MAX_ACTIONS: Final = 200_000

Medium = Literal["audio", "video", "screen"]
Seconds = Annotated[float, Field(ge=0, le=MAX_S, allow_inf_nan=False)]
Media = Annotated[tuple[Medium, ...], Field(min_length=1, max_length=3)]
Size = Annotated[int, Field(ge=64, le=1920, multiple_of=2)]
Codec = Literal["h264", "vp8"]


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Action(Strict):
    at_s: Seconds


class Join(Action):
    do: Literal["join"]


class Rejoin(Action):
    """Join, and publish what was published when he left."""

    do: Literal["rejoin"]


class Leave(Action):
    do: Literal["leave"]


class Publish(Action):
    do: Literal["publish"]
    what: Media = ("audio", "video")


class Unpublish(Action):
    do: Literal["unpublish"]
    what: Media = ("audio", "video", "screen")


class Mute(Action):
    do: Literal["mute"]
    what: Media


class Unmute(Action):
    do: Literal["unmute"]
    what: Media


class Rotate(Action):
    """How the phone is held from now on: the picture must be turned so far clockwise to stand upright."""

    do: Literal["rotate"]
    degrees: Literal[0, 90, 180, 270]


class Resize(Action):
    do: Literal["resize"]
    width: Size
    height: Size


class ChangeCodec(Action):
    do: Literal["codec"]
    codec: Codec


class Fault(Action):
    what: Media = ("audio", "video", "screen")
    for_s: Seconds = MAX_S


class Corrupt(Fault):
    """Units arrive that no decoder can read."""

    do: Literal["corrupt"]


class Stall(Fault):
    """No units arrive, and nobody says why."""

    do: Literal["stall"]


class Loss(Fault):
    """So many of the units never arrive."""

    do: Literal["loss"]
    percent: Annotated[float, Field(gt=0, le=100)]


class Silence(Fault):
    """Units of digital silence."""

    do: Literal["silence"]
    what: tuple[Literal["audio"], ...] = ("audio",)


AnyAction = Annotated[
    Join
    | Rejoin
    | Leave
    | Publish
    | Unpublish
    | Mute
    | Unmute
    | Rotate
    | Resize
    | ChangeCodec
    | Corrupt
    | Stall
    | Loss
    | Silence,
    Field(discriminator="do"),
]


class ScriptUser(Strict):
    id: Annotated[str, Field(min_length=1, max_length=64)]
    name: Annotated[str, Field(max_length=64)] = ""
    number: Annotated[int | None, Field(ge=1, le=127)] = None  # in his pictures and sounds; else his place in the list
    colour: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] = ""
    role: UserRole = UserRole.HOST
    client: ClientKind = ClientKind.NONE
    codec: Codec = "h264"
    width: Size = 640
    height: Size = 360
    fps: Annotated[int, Field(ge=5, le=60)] = 30
    gop_s: Literal[1, 2, 5, 10] = 1
    drift_ppm: Annotated[float, Field(ge=-1000, le=1000)] = 0.0
    actions: Annotated[tuple[AnyAction, ...], Field(max_length=10_000)] = ()


class Script(Strict):
    users: Annotated[tuple[ScriptUser, ...], Field(max_length=126)]
    duration_s: Annotated[float | None, Field(gt=0, le=MAX_S)] = None  # of one round; None: the room never ends
    repeat: Annotated[int, Field(ge=1)] = 1  # rounds; needs a duration
    end: Literal["closed", "abrupt", "kicked", "token"] = "closed"

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.repeat > 1 and self.duration_s is None:
            raise ValueError("repeat needs a duration_s")
        if (self.duration_s or 0) * self.repeat > MAX_S:
            raise ValueError(f"a scene lasts at most {MAX_S} s")
        if sum(len(user.actions) for user in self.users) * self.repeat > MAX_ACTIONS:
            raise ValueError(f"a scene has at most {MAX_ACTIONS} actions, all rounds counted")
        if len({user.id for user in self.users}) < len(self.users):
            raise ValueError("two users have the same id")
        return self


def load(path: Path) -> Script:
    """Raises `ChannelAddressInvalid` saying what is wrong with the file."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ChannelAddressInvalid(f"the script {path.name} cannot be read: {error.strerror}") from None
    if len(text) > MAX_BYTES:
        raise ChannelAddressInvalid(f"the script {path.name} is longer than {MAX_BYTES} bytes")
    try:
        return Script.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise ChannelAddressInvalid(f"the script {path.name} is wrong at {where}: {first['msg']}") from None
