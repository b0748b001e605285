"""Complete the OpenAPI document that FastAPI builds from the routes.

FastAPI does not know the checks that every request passes before its route, the models of bodies
that routes read themselves, and which content type an error has.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from toccata.server.api.schemas import Problem

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
REF_TEMPLATE = "#/components/schemas/{model}"
GENERATED = "HTTPValidationError"  # FastAPI's own schema
# As the `responses` of a route: by status code.
Responses = dict[int | str, dict[str, Any]]

DESCRIPTIONS = {
    304: "The client has the current version already.",
    400: "The request is malformed.",
    401: "The token is missing or wrong.",
    403: "The request comes from another website or machine, which may not do this.",
    404: "There is no such resource.",
    406: "The requested content type is not available.",
    409: "The server is busy, or the id is in use.",
    413: "The request is too large, or the storage for uploads is full.",
    415: "The content type of the body is not supported.",
    416: "The file has no bytes in the requested range.",
    421: "This server does not serve the host that the request names.",
    422: "A value in the request is invalid.",
    503: "The server is temporarily unavailable. Retry-After says when to try again.",
}
# Which errors the checks before every route answer with, which those of bodies, and of tokens.
_COMMON, _OF_BODIES, _OF_TOKENS = (400, 403, 421), (413, 415), (401,)


def ref(model: type[BaseModel]) -> dict[str, Any]:
    """The schema that refers to a model by its name."""
    return {"$ref": REF_TEMPLATE.format(model=model.__name__)}


def problems(*statuses: int) -> Responses:
    """The `responses` of a route that answers with a Problem under these status codes."""
    content = {PROBLEM_JSON: {"schema": ref(Problem)}}
    return {
        status: {"description": DESCRIPTIONS[status], "content": content} for status in statuses
    }


def errors(model: type[BaseModel], *statuses: int) -> Responses:
    """The `responses` of a route that answers with `model` under these status codes."""
    return {status: {"description": DESCRIPTIONS[status], "model": model} for status in statuses}


def files(*media_types: str) -> Responses:
    """The `responses` of a route that sends a file, the whole or a range of it."""
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in media_types}
    return {
        200: {"content": content},
        206: {"description": "The requested range of the file.", "content": content},
        304: {"description": DESCRIPTIONS[304]},
        416: {"description": DESCRIPTIONS[416]},
    }


def request_body(
    model: type[BaseModel], media_type: str = JSON, *, required: bool = True
) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads its body itself."""
    content = {media_type: {"schema": ref(model)}}
    return {"requestBody": {"content": content, "required": required}}


def path_parameters(*names: str) -> dict[str, Any]:
    """The `openapi_extra` of a route whose function does not use these parts of the path."""
    rest = {"in": "path", "required": True, "schema": {"type": "string"}}
    return {"parameters": [{"name": name, **rest} for name in names]}


def complete_openapi(app: FastAPI, models: Sequence[type[BaseModel]]) -> None:
    """Have `app.openapi` add what the routes of `app` do not declare.

    Args:
        app: The app, whose document is made at the first request for it.
        models: What `ref` refers to, besides the response models that FastAPI finds.
    """
    app.openapi = partial(_document, app, app.openapi, models)  # type: ignore[method-assign]


def _document(app: FastAPI, build: Any, models: Sequence[type[BaseModel]]) -> dict[str, Any]:
    if app.openapi_schema is None:
        document: dict[str, Any] = build()
        schemas = document["components"]["schemas"] | _definitions([*models, Problem])
        document["components"]["schemas"] = dict(sorted(schemas.items()))
        for path in document["paths"].values():
            for method, operation in path.items():
                _add_common_responses(method, operation)
    return app.openapi_schema or {}


def _definitions(models: Sequence[type[BaseModel]]) -> dict[str, Any]:
    """The schemas of `models` and of what they refer to, without null defaults as in FastAPI's."""
    _, found = models_json_schema(
        [(model, "validation") for model in models], ref_template=REF_TEMPLATE
    )
    definitions: dict[str, Any] = jsonable_encoder(found["$defs"], exclude_none=True)
    return definitions


def _add_common_responses(method: str, operation: dict[str, Any]) -> None:
    """Add the errors that do not depend on the route, and sort all responses by status code."""
    responses = operation["responses"]
    _correct_validation_error(operation)
    statuses = _COMMON if method == "get" else (*_COMMON, *_OF_BODIES)
    if "security" in operation:
        statuses = (*statuses, *_OF_TOKENS)
        operation["security"].append({})  # a server that has no tokens is open to everybody
    for status, common in problems(*statuses).items():
        own = responses.get(str(status), {})
        content = {**common["content"], **own.get("content", {})}
        responses[str(status)] = {**common, **own, "content": content}
    operation["responses"] = dict(sorted(responses.items()))


def _correct_validation_error(operation: dict[str, Any]) -> None:
    """Remove the 422 that FastAPI adds to a route with parameters if all of them are texts."""
    responses = operation["responses"]
    content = responses.get("422", {}).get("content", {})
    if content.get(JSON, {}).get("schema") != {"$ref": REF_TEMPLATE.format(model=GENERATED)}:
        return
    if all(each["schema"].get("type") == "string" for each in operation["parameters"]):
        del responses["422"]
    else:
        responses["422"]["description"] = DESCRIPTIONS[422]
