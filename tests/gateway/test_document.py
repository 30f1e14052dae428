"""The OpenAPI document is whole: every operation says what it is for, shows what goes in and out, and how it refuses."""

from __future__ import annotations

from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # its stubs are a package of their own
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from gateway.app import app

DOCUMENT: Final[dict[str, Any]] = app.openapi()
OPERATIONS: Final = [
    pytest.param(path, method, operation, id=f"{method.upper()} {path}")
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]
RESOURCE: Final[Resource[Any]] = DRAFT202012.create_resource(DOCUMENT)
EMPTY: Final[Registry[Any]] = Registry()
REGISTRY: Final = EMPTY.with_resource("urn:api", RESOURCE)
#: Their answers are no JSON, or none of the contract's.
PLAIN: Final = ("/healthz", "/readyz", "/metrics")


def fits(schema: dict[str, Any], example: Any) -> list[str]:
    absolute = _absolute(schema)
    return [error.message for error in Draft202012Validator(absolute, registry=REGISTRY).iter_errors(example)]


def _absolute(schema: Any) -> Any:
    match schema:
        case {"$ref": str(ref)}:
            return {"$ref": f"urn:api{ref}"}
        case dict():
            return {name: _absolute(value) for name, value in schema.items()}
        case list():
            return [_absolute(item) for item in schema]
    return schema


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_an_operation_says_what_it_is_for_and_shows_what_goes_in_and_out(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    assert operation["summary"] and operation["tags"]
    assert all(parameter.get("description") for parameter in operation.get("parameters", [])), path
    if body := operation.get("requestBody"):
        content = body["content"]["application/json"]
        assert fits(content["schema"], content["example"]) == []
    if path.startswith("/v1/"):
        assert operation["security"], path
        done = {status: said for status, said in operation["responses"].items() if status in ("200", "201")}
        for said in done.values():
            for kind, content in said.get("content", {}).items():
                if kind != "application/json":
                    continue  # media
                examples = [content["example"]] if "example" in content else list(content.get("examples", {}).values())
                assert examples, path


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_refusal_has_an_example_in_its_shape(path: str, method: str, operation: dict[str, Any]) -> None:
    refusals = {status: said for status, said in operation["responses"].items() if status >= "400"}
    if path in PLAIN or method == "options":
        return
    assert {"400", "401", "500", "504"} <= set(refusals), path
    for said in refusals.values():
        if "content" not in said:
            continue  # of media: no body
        content = said["content"]["application/json"]
        assert content["examples"]
        for example in content["examples"].values():
            assert example["summary"]
            assert fits(content["schema"], example["value"]) == []


def test_each_verb_of_the_contract_has_the_shape_of_its_answer() -> None:
    verbs = [
        (path, op) for path, ops in DOCUMENT["paths"].items() if "/cloud_recording/" in path for op in ops.values()
    ]
    assert len(verbs) == 6
    for path, operation in verbs:
        content = operation["responses"]["200"]["content"]["application/json"]
        assert fits(content["schema"], content["example"]) == [], path
        assert {"400", "401", "404", "429", "500", "504"} - {"404"} <= set(operation["responses"]), path
