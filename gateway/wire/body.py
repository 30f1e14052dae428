"""From bytes to a JSON object that nothing behind can choke on, and from the object to a shape, with everything worth saying.

Every failure is a `BadBody` (no JSON) or a `BadParameter` that names the field.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from models.vocabulary.errors import BadBody, BadParameter

MAX_BODY_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 12
MAX_WARNINGS: Final = 40
MAX_NAME: Final = 60


class Shape(BaseModel):
    """camelCase on the wire; types are taken as they are (a number in quotes is no number); unknown fields are kept, to be told."""

    model_config = ConfigDict(
        strict=True, extra="allow", alias_generator=to_camel, populate_by_name=False, hide_input_in_errors=True
    )


M = TypeVar("M", bound=Shape)


@dataclass(slots=True)
class Warnings:
    """What was accepted and is not as it should be; bounded."""

    texts: list[str] = field(default_factory=list)
    client_request: Mapping[str, Any] = field(default_factory=dict, repr=False)  # as it came

    def say(self, text: str) -> None:
        if text in self.texts:
            return
        if len(self.texts) < MAX_WARNINGS:
            self.texts.append(text)
        elif len(self.texts) == MAX_WARNINGS:
            self.texts.append("… and more")


def parse(raw: bytes, warnings: Warnings) -> dict[str, Any]:
    """The body's object. No NUL, no lone surrogate, no NaN, no abyss is in it; `null` means absent."""
    if len(raw) > MAX_BODY_BYTES:
        raise BadBody(f"the body has more than {MAX_BODY_BYTES} bytes")
    if not raw.strip():
        raise BadBody("the body is empty; it must be a JSON object")
    try:
        found = json.loads(raw, object_pairs_hook=lambda pairs: _object(pairs, warnings), parse_constant=_no_constant)
    except RecursionError:
        raise BadBody("the body is nested too deeply") from None
    except ValueError as error:
        raise BadBody(f"the body is not JSON: {_ascii(str(error))}") from None
    if not isinstance(found, dict):
        raise BadBody("the body must be a JSON object")
    _inspect(found, "")
    return _without_null(found, "", warnings)


def shape(model: type[M], found: Mapping[str, Any], warnings: Warnings) -> M:
    """The object in its shape. Raises `BadParameter` naming the first field that is missing or of another type."""
    try:
        made = model.model_validate(found)
    except ValidationError as error:
        raise BadParameter(_first(error)) from None
    for path, name in _unknown(made, ""):
        right = _homes(model).get(name)
        where = f"{path}{_ascii(name)}"
        if right is not None and right != where:
            warnings.say(f"{where} stands in the wrong place and was ignored: it belongs at {right}")
        else:
            warnings.say(f"{where} is not known and was ignored")
    return made


def _object(pairs: list[tuple[str, Any]], warnings: Warnings) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        warnings.say(f"{_ascii(twice)} stands twice in one object: the last one counts")
    return made


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _inspect(value: object, path: str, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise BadBody("the body is nested too deeply")
    match value:
        case str():
            _check_text(value, path)
        case dict():
            for name, item in value.items():
                _check_text(name, f"a name in {path or 'the body'}")
                _inspect(item, f"{path}.{_ascii(name)}" if path else _ascii(name), depth + 1)
        case list():
            for n, item in enumerate(value):
                _inspect(item, f"{path}[{n}]", depth + 1)
        case _:
            pass


def _check_text(text: str, path: str) -> None:
    if "\0" in text:
        raise BadParameter(f"{path} has a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadParameter(f"{path} has half a surrogate pair") from None


def _without_null(found: dict[str, Any], path: str, warnings: Warnings) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in found.items():
        where = f"{path}{_ascii(name)}"
        if value is None:
            warnings.say(f"{where} is null and counts as not given")
        else:
            kept[name] = _without_null(value, f"{where}.", warnings) if isinstance(value, dict) else value
    return kept


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)[0]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{_ascii(part)}" for part in found["loc"]).lstrip(".")
    match found["type"]:
        case "missing":
            return f"{path} is missing"
        case "model_type" | "dict_type":
            return f"{path} must be an object"
        case "string_type":
            return f"{path} must be a string"
        case "int_type" | "int_from_float":
            return f"{path} must be a whole number"
        case "float_type":
            return f"{path} must be a number"
        case "bool_type":
            return f"{path} must be true or false"
        case "list_type" | "tuple_type":
            return f"{path} must be a list"
    message = found["msg"]
    return f"{path}: {message[:1].lower()}{message[1:]}"


def _unknown(made: Shape, path: str) -> Iterator[tuple[str, str]]:
    """(path, name) of every field no shape knows."""
    for name in made.model_extra or {}:
        yield path, name
    for attribute, info in type(made).model_fields.items():
        value = getattr(made, attribute)
        where = f"{path}{info.alias}"
        if isinstance(value, Shape):
            yield from _unknown(value, f"{where}.")
        elif isinstance(value, list):
            for n, item in enumerate(value):
                if isinstance(item, Shape):
                    yield from _unknown(item, f"{where}[{n}].")


@cache
def _homes(model: type[Shape]) -> dict[str, str]:
    """Where each name belongs; the first place wins."""
    homes: dict[str, str] = {}
    queue: list[tuple[type[Shape], str]] = [(model, "")]
    while queue:
        shape_, path = queue.pop(0)
        for info in shape_.model_fields.values():
            assert info.alias is not None
            homes.setdefault(info.alias, f"{path}{info.alias}")
            queue += [(inner, f"{path}{info.alias}.") for inner in _inner(info.annotation)]
    return homes


def _inner(annotation: Any) -> list[type[Shape]]:
    if isinstance(annotation, type) and issubclass(annotation, Shape):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType):
        return [found for part in get_args(annotation) for found in _inner(part)]
    return []


def _ascii(name: object) -> str:
    """A caller's name as it may stand in a header and a log."""
    text = str(name).encode("ascii", "backslashreplace").decode("ascii")
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= MAX_NAME else f"{text[:MAX_NAME]}…".replace("…", "...")
