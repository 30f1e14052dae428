"""The answers of the contract (§1, §2) as the OpenAPI document has them. The fuzzer holds every answer against them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from models.vocabulary.states import Status


class Answer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow")


class Refusal(Answer):
    """An error of the contract: `reason` begins with its words, and behind a colon stands what happened."""

    code: int
    reason: str


class Message(Answer):
    """How the original's own door refuses: who asks, how often, for what path."""

    message: str


class Acquired(Answer):
    cname: str
    uid: str
    resource_id: str = Field(description="Good for one start, for five minutes.")


class Same(Acquired):
    sid: str = Field(pattern="^[0-9a-f]{32}$")


class FileItem(Answer):
    file_name: str
    track_type: str = Field(description="audio, video or audio_and_video.")
    uid: str = Field(description='"0" of all together.')
    mixed_all_user: bool
    is_playable: bool
    slice_start_time: int = Field(description="Unix ms.")


class Queried(Answer):
    status: int = Field(description=", ".join(f"{status.value} {status.name.lower()}" for status in Status))
    file_list_mode: str | None = Field(None, description="string: one name; json: items.")
    file_list: str | list[FileItem] | None = Field(None, description="Empty before the first slice is stored.")
    slice_start_time: int | None = Field(None, description="Unix ms; 0 before there is one.")


class QueryAnswer(Same):
    server_response: Queried


class Stopped(Answer):
    file_list_mode: str | None = None
    file_list: str | list[FileItem] | None = None
    uploading_status: str | None = Field(None, description="uploaded, backuped or unknown.")


class StopAnswer(Same):
    server_response: Stopped


MODELS: list[type[Answer]] = [Refusal, Message, Acquired, Same, QueryAnswer, StopAnswer]


def schemas(ref: str) -> dict[str, Any]:
    """Of components/schemas."""
    found: dict[str, Any] = {}
    for model in MODELS:
        described = model.model_json_schema(by_alias=True, mode="serialization", ref_template=ref)
        found |= described.pop("$defs", {})
        found[model.__name__] = described
    return found
