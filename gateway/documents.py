"""OpenAPI: request bodies from the shapes, answers from the contract, and no 422 anywhere, since none is ever sent."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gateway.wire import answers
from gateway.wire.answers import Answer, Message, Refusal
from gateway.wire.body import Shape
from models.vocabulary import errors as e

Responses = dict[int | str, dict[str, Any]]

REF: Final = "#/components/schemas/{model}"
ANY_REFUSAL: Final = {"anyOf": [{"$ref": REF.format(model=model.__name__)} for model in (Refusal, Message)]}
_COMMON: Final[tuple[type[e.ReelyardError], ...]] = (
    e.BadParameter,
    e.BadBody,
    e.UnknownApp,
    e.Unauthorized,
    e.RateLimited,
    e.StateUnavailable,
    e.Internal,
)


def responses(*classes: type[e.ReelyardError]) -> Responses:
    """The error answers of a route, the common ones included, one example each."""
    found: Responses = {}
    for cls in (*_COMMON, *classes):
        description = {206: "Not completed", 201: "Done before"}.get(cls.http, "Error")
        content = {"schema": ANY_REFUSAL, "examples": {}}
        kept = found.setdefault(cls.http, {"description": description, "content": {"application/json": content}})
        kept["content"]["application/json"]["examples"][cls.__name__] = {
            "summary": cls.__doc__,
            "value": cls().body(),
        }
    return found


def ok(description: str, example: dict[str, Any], status: int = 200, *, of: type[Answer] | None = None) -> Responses:
    """The answer of a route that does what it was asked to; `of`: its shape, one of `answers.MODELS`."""
    content: dict[str, Any] = {"example": example}
    if of is not None:
        content["schema"] = {"$ref": REF.format(model=of.__name__)}
    return {status: {"description": description, "content": {"application/json": content}}}


def body(model: type[Shape], example: dict[str, Any]) -> dict[str, Any]:
    """`openapi_extra` of a route that reads its own body."""
    content = {"schema": {"$ref": REF.format(model=model.__name__)}, "example": example}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def install(app: FastAPI, shapes: list[type[Shape]]) -> None:
    def schema() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _schema(app, shapes)
        return app.openapi_schema

    app.openapi = schema  # type: ignore[method-assign] # FastAPI's documented way to replace it


def _schema(app: FastAPI, shapes: list[type[Shape]]) -> dict[str, Any]:
    made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    for operations in made["paths"].values():
        for operation in operations.values():
            operation.get("responses", {}).pop("422", None)
    components = made.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for shape in shapes:
        described = shape.model_json_schema(by_alias=True, ref_template=REF)
        schemas.update(described.pop("$defs", {}))
        schemas[shape.__name__] = described
    schemas.update(answers.schemas(REF))
    components["securitySchemes"] = {
        "customer": {"type": "http", "scheme": "basic", "description": "Customer key and secret."},
        "operator": {"type": "http", "scheme": "bearer", "description": "REELYARD_OPERATOR_KEY of the gateway."},
        "publisher": {"type": "http", "scheme": "bearer", "description": "Token of POST …/whip-tokens."},
    }
    return made
