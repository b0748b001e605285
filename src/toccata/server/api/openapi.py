"""`/v1/openapi.json`: parameters and responses of every operation.

The routes read their bodies themselves, so the document is written here, beside them: one entry for
each operation. `describe` puts it in place of what the signatures of the routes tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from toccata.server.api.openapi_schemas import SCHEMAS, TEXT, ref

JSON = "application/json"
PROBLEM = "application/problem+json"
BINARY = {"type": "string", "format": "binary"}
_MEANINGS = {
    200: "Success", 201: "Created", 202: "Accepted, and still running", 204: "Deleted",
    206: "The requested range", 304: "The client has it already", 400: "Malformed request",
    401: "Missing or wrong token", 403: "Not allowed from another website or machine",
    404: "Not found", 406: "Not acceptable", 409: "Busy, or the id is taken",
    413: "Too large, or no room for it", 415: "Unsupported content type",
    416: "Range not satisfiable", 421: "Host not served here", 422: "Validation failed",
    503: "Temporarily unavailable; Retry-After says when to try again",
}  # fmt: skip
# What any operation may answer; the second, what any that changes something may.
_ANYWHERE, _CHANGING = (400, 403, 421), (413, 415)


def _schema(name: str, kind: str = JSON) -> dict[str, Any]:
    return {kind: {"schema": ref(name)}}


def _bytes(*kinds: str) -> dict[str, Any]:
    return {kind: {"schema": BINARY} for kind in kinds}


def _answers(content: Mapping[int, Mapping[str, Any]], *problems: int) -> dict[str, Any]:
    """`content` by status; `problems` are the statuses that are told as problems."""
    told = {**dict.fromkeys(problems, _schema("Problem", PROBLEM)), **content}
    return {str(status): _answer(status, body) for status, body in sorted(told.items())}


def _answer(status: int, content: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": _MEANINGS[status], **({"content": content} if content else {})}


def _parameter(
    name: str, place: str = "path", description: str = "", **schema: Any
) -> dict[str, Any]:
    told = {"description": description} if description else {}
    place_of = {"name": name, "in": place, "required": place == "path"}
    return {**place_of, **told, "schema": {**TEXT, **schema}}


def _operation(
    summary: str, answers: Mapping[str, Any], *parameters: Any, **more: Any
) -> dict[str, Any]:
    return {"summary": summary, "parameters": [*parameters], "responses": answers, **more}


def _body(content: Mapping[str, Any], required: bool = True) -> dict[str, Any]:
    return {"content": content, "required": required}


def _shown(name: str, *problems: int) -> dict[str, Any]:
    return _answers({200: _schema(name)}, 401, *problems)


_OWNER, _NAME = _parameter("owner"), _parameter("name")
_PREDICTION, _FILE = _parameter("prediction_id"), _parameter("file_id")
_KEY = _parameter("key", description="As the addresses of a prediction have it.")
_RANGE = _parameter("Range", "header", "bytes=FIRST-LAST")
_MOMENTS = [
    _parameter(f"created_{when}", "query", format="date-time") for when in ("after", "before")
]
_WAIT = [
    _parameter("Prefer", "header", "wait, or wait=SECONDS: answer when there is output."),
    _parameter("Cancel-After", "header", "30, 30s, 5m, 2h30m: when to give up; at least 5 s."),
]
_ASYNC = _parameter("Prefer", "header", "respond-async: answer at once.")
_AUDIO = _bytes("audio/wav", "audio/mpeg", "audio/flac", "audio/ogg")
_ANY = _bytes("application/octet-stream")
_RANGED: Mapping[int, Any] = {200: _AUDIO, 206: _AUDIO, 304: {}, 416: {}}
_EVENTS = _schema("Event", "text/event-stream")
_MADE = _answers({201: _schema("Prediction")}, 400, 401, 404, 413, 422, 503)
_RUN = _answers(
    {
        **dict.fromkeys((200, 202), _schema("CogPrediction")),
        **dict.fromkeys((406, 409, 503), _schema("CogRefusal")),
        422: _schema("CogInvalid"),
    },
    401,
    413,
)
_NOT_HELD = _operation("Not offered by this server: always 404.", _answers({}, 401, 404))
_NONE_YET = _operation("Always an empty list: this server has none.", _shown("EmptyPage"))

# (method, path): what it takes, and all that it may answer.
OPERATIONS: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("post", "/v1/predictions"): _operation(
        "Create a prediction.", _MADE, *_WAIT, requestBody=_body(_schema("PredictionRequest"))
    ),
    ("post", "/v1/models/{owner}/{name}/predictions"): _operation(
        "Create a prediction of the latest version of a model.",
        _MADE, _OWNER, _NAME, *_WAIT, requestBody=_body(_schema("ModelPredictionRequest")),
    ),
    ("get", "/v1/predictions"): _operation(
        "All predictions, the newest first.", _shown("PredictionPage", 400),
        _parameter("cursor", "query", "As `next` has it."), *_MOMENTS,
    ),
    ("get", "/v1/predictions/{prediction_id}"): _operation(
        "A prediction.", _shown("Prediction", 404), _PREDICTION
    ),
    ("post", "/v1/predictions/{prediction_id}/cancel"): _operation(
        "Cancel a prediction.", _shown("Prediction", 404, 413), _PREDICTION
    ),
    ("get", "/v1/models"): _operation("All models.", _shown("ModelPage")),
    ("get", "/v1/models/{owner}/{name}"): _operation(
        "A model.", _shown("Model", 404), _OWNER, _NAME
    ),
    ("get", "/v1/models/{owner}/{name}/versions"): _operation(
        "The versions of a model.", _shown("VersionPage", 404), _OWNER, _NAME
    ),
    ("get", "/v1/models/{owner}/{name}/versions/{version_id}"): _operation(
        "A version, with its inputs.", _shown("Version", 404),
        _OWNER, _NAME, _parameter("version_id"),
    ),
    ("get", "/v1/models/{owner}/{name}/examples"): _operation(
        "An empty list.", _shown("EmptyPage", 404), _OWNER, _NAME
    ),
    ("get", "/v1/account"): _operation("The account of this server.", _shown("Account")),
    ("get", "/v1/hardware"): _operation("The hardware it computes on.", _shown("Hardware")),
    ("get", "/v1/webhooks/default/secret"): _operation(
        "The secret that webhooks are signed with.", _shown("Secret")
    ),
    ("get", "/v1/collections"): _NONE_YET,
    ("get", "/v1/deployments"): _NONE_YET,
    ("get", "/v1/trainings"): _NONE_YET,
    ("get", "/v1/collections/{slug}"): _operation(
        "A collection: always 404, as this server has none.", _answers({}, 401, 404),
        _parameter("slug"),
    ),
    ("get", "/v1/deployments/{owner}/{name}"): _operation(
        "A deployment: always 404, as this server has none.", _answers({}, 401, 404), _OWNER, _NAME
    ),
    ("get", "/v1/trainings/{training_id}"): _operation(
        "A training: always 404, as this server has none.", _answers({}, 401, 404),
        _parameter("training_id"),
    ),
    ("post", "/v1/models"): _NOT_HELD,
    ("post", "/v1/deployments"): _NOT_HELD,
    ("post", "/v1/deployments/{owner}/{name}/predictions"): {
        **_NOT_HELD, "parameters": [_OWNER, _NAME],
    },
    ("post", "/v1/models/{owner}/{name}/versions/{version_id}/trainings"): {
        **_NOT_HELD, "parameters": [_OWNER, _NAME, _parameter("version_id")],
    },
    ("get", "/v1/files"): _operation(
        "The newest uploads.", _shown("FilePage", 400),
        _parameter("cursor", "query", "As `next` has it."),
    ),
    ("post", "/v1/files"): _operation(
        "Upload audio, to name it in an input later.",
        _answers({201: _schema("File")}, 400, 401, 413),
        requestBody=_body(_schema("Upload", "multipart/form-data")),
    ),
    ("get", "/v1/files/{file_id}"): _operation(
        "An upload, without its bytes.", _shown("File", 404), _FILE
    ),
    ("delete", "/v1/files/{file_id}"): _operation(
        "Delete an upload.", _answers({204: {}}, 401, 404), _FILE
    ),
    ("get", "/v1/files/{file_id}/download"): _operation(
        "The bytes of an upload.",
        _answers({**dict.fromkeys((200, 206), _ANY), 304: {}, 416: {}}, 401, 404),
        _FILE, _RANGE,
    ),
    ("get", "/v1/files/{key}/stream"): _operation(
        "The events of a prediction, as they happen (server-sent events).",
        _answers({200: _EVENTS}, 404),
        _KEY, _parameter("Last-Event-ID", "header"),
    ),
    ("get", "/outputs/{key}/audio"): _operation(
        "The audio of a prediction, while it is generated and afterwards.",
        _answers({**_RANGED, 422: _schema("CogInvalid")}, 404),
        _KEY, _parameter("form", "query", enum=["mp3", "wav"]),
        _parameter("variation", "query", "From 1.", type="integer"), _RANGE,
    ),
    ("get", "/outputs/{key}/{name}"): _operation(
        "A finished file.", _answers(_RANGED, 404), _KEY, _NAME, _RANGE
    ),
    ("get", "/healthz"): _operation(
        "Liveness: the process answers.", _answers({200: _schema("Alive")})
    ),
    ("get", "/readyz"): _operation(
        "Readiness: predictions are accepted and generated.",
        _answers(dict.fromkeys((200, 503), _schema("Ready"))),
    ),
    ("get", "/metrics"): _operation(
        "Metrics in the text format of Prometheus.",
        _answers({200: {"text/plain": {"schema": TEXT}}}),
    ),
    ("get", "/"): _operation(
        "The addresses of the Cog API.", _answers({200: _schema("CogIndex")})
    ),
    ("get", "/health-check"): _operation(
        "The health of the worker.", _answers({200: _schema("CogHealth")})
    ),
    ("post", "/predictions"): _operation(
        "Create a prediction of the Cog API, which starts at once or is refused.", _RUN, _ASYNC,
        requestBody=_body(_schema("CogRequest"), required=False),
    ),
    ("put", "/predictions/{prediction_id}"): _operation(
        "Create a prediction with this id, once.", _RUN, _PREDICTION, _ASYNC,
        requestBody=_body(_schema("CogRequest"), required=False),
    ),
    ("post", "/predictions/{prediction_id}/cancel"): _operation(
        "Cancel a prediction.", _answers(dict.fromkeys((200, 404), _schema("Empty")), 401, 413),
        _PREDICTION,
    ),
    ("post", "/shutdown"): _operation(
        "Stop the server, if it was started with --shutdown-route; from its own machine.",
        _answers({200: _schema("Empty"), 403: _schema("CogRefusal")}, 413),
    ),
}  # fmt: skip


def describe(app: FastAPI) -> None:
    """Have the document of `app` say what OPERATIONS says."""
    app.openapi = partial(_document, app)  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, routes=app.routes)
        for path, operations in found["paths"].items():
            for method, told in operations.items():
                told.update(OPERATIONS.get((method, path), {}))
                told["responses"] = _with_common(method, told["responses"])
                _secure(told)
        token = {"type": "http", "scheme": "bearer"}
        found["components"] = {"schemas": SCHEMAS, "securitySchemes": {"token": token}}
        app.openapi_schema = found
    return app.openapi_schema


def _with_common(method: str, responses: Mapping[str, Any]) -> dict[str, Any]:
    """`responses`, and those that the checks before every route give."""
    statuses = (*_ANYWHERE, *(() if method == "get" else _CHANGING))
    common = {str(status): _answer(status, _schema("Problem", PROBLEM)) for status in statuses}
    return dict(sorted((common | dict(responses)).items()))


def _secure(operation: dict[str, Any]) -> None:
    """A server without tokens is open to everybody, so that none is the other choice."""
    if "401" in operation["responses"]:
        operation["security"] = [{"token": []}, {}]
