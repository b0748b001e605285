"""The schemas of the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toccata.server.versions import VERSIONS, Version, openapi

TEXT = {"type": "string"}
NUMBER = {"type": "number"}
FLAG = {"type": "boolean"}
TIME = {"type": "string", "format": "date-time"}
URI = {"type": "string", "format": "uri"}
MAYBE_TEXT = {"type": ["string", "null"]}
MAYBE_TIME = {"type": ["string", "null"], "format": "date-time"}
FREE = {"type": "object"}
STATUSES = ("starting", "processing", "succeeded", "failed", "canceled", "aborted")
EVENTS = ("start", "output", "logs", "completed")
STREAMED = ("output", "logs", "error", "done")


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def whole(properties: Mapping[str, Any], *optional: str, **more: Any) -> dict[str, Any]:
    """An object that has all of `properties`, but for those that are named as optional."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, **more}


def page(name: str) -> dict[str, Any]:
    return whole({"next": MAYBE_TEXT, "previous": MAYBE_TEXT, "results": array(ref(name))})


OUTPUT = {"anyOf": [URI, array(URI), {"type": "null"}]}
WEBHOOK = {
    "webhook": {**URI, "description": "The address that events are posted to."},
    "webhook_events_filter": array({"type": "string", "enum": [*EVENTS]}),
}
URLS = whole({"get": URI, "cancel": URI, "stream": URI, "audio": URI, "web": URI})
DETAIL = whole({"loc": array({"type": ["string", "integer"]}), "msg": TEXT, "type": TEXT})
VERSION = whole({"id": TEXT, "created_at": TIME, "cog_version": TEXT, "openapi_schema": FREE})

_PREDICTION = {
    "id": TEXT,
    "model": TEXT,
    "version": TEXT,
    "status": {"type": "string", "enum": [*STATUSES]},
    "input": FREE,
    "output": OUTPUT,
    "error": MAYBE_TEXT,
    "logs": TEXT,
    "metrics": FREE,
    "created_at": TIME,
    "started_at": MAYBE_TIME,
    "completed_at": MAYBE_TIME,
    "data_removed": FLAG,
    "source": TEXT,
    "urls": URLS,
    "deadline": TIME,
    **WEBHOOK,
}
_MODEL = {
    "url": TEXT,
    "owner": TEXT,
    "name": TEXT,
    "description": TEXT,
    "visibility": {"type": "string", "enum": ["public"]},
    "is_official": FLAG,
    "run_count": {"type": "integer"},
    "created_at": TIME,
    "latest_version": VERSION,
    **dict.fromkeys(
        ("paper_url", "github_url", "license_url", "cover_image_url", "default_example"), MAYBE_TEXT
    ),
}
_FILE = {
    "id": TEXT,
    "name": TEXT,
    "content_type": TEXT,
    "size": {"type": "integer"},
    "etag": TEXT,
    "checksums": whole({"sha256": TEXT, "md5": TEXT}),
    "metadata": FREE,
    "created_at": TIME,
    "expires_at": MAYBE_TIME,
    "urls": whole({"get": URI}),
}
_UPLOAD = {
    "content": {"type": "string", "format": "binary"},
    "metadata": {"type": "string", "description": "A JSON object."},
    "filename": TEXT,
    "type": {"type": "string", "description": "The content type."},
}
_PROBLEM = {
    "title": TEXT,
    "detail": TEXT,
    "status": {"type": "integer"},
    "invalid_fields": array(whole({"type": TEXT, "field": TEXT, "description": TEXT})),
}
_COG_INDEX = (
    "cog_version", "docs_url", "openapi_url", "shutdown_url", "healthcheck_url",
    "predictions_url", "predictions_idempotent_url", "predictions_cancel_url",
)  # fmt: skip
_COG_PREDICTION = {
    "input": FREE,
    "output": OUTPUT,
    "id": TEXT,
    "version": {"type": "null"},
    "created_at": TIME,
    "started_at": MAYBE_TIME,
    "completed_at": MAYBE_TIME,
    "logs": TEXT,
    "error": MAYBE_TEXT,
    "status": {"type": "string", "enum": [*STATUSES[1:]]},
    "metrics": {"anyOf": [whole({"predict_time": NUMBER}), {"type": "null"}]},
}
_COG_ASKED = {
    "id": {**TEXT, "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$"},
    "output_file_prefix": {**URI, "description": "What the address of an upload begins with."},
    **WEBHOOK,
}
_COG_REFUSAL = {"detail": TEXT, "error": TEXT, "status": TEXT}
_COG_SETUP = {"started_at": TIME, "completed_at": TIME, "status": TEXT, "logs": TEXT}


def _input(version: Version) -> dict[str, Any]:
    """The inputs of a version, with what they refer to in their places."""
    schemas = openapi(version)["components"]["schemas"]
    properties: dict[str, Any] = {}
    for name, field in schemas["Input"]["properties"].items():
        choices = {**schemas.get(name, {}), **field} if "allOf" in field else field
        properties[name] = {key: value for key, value in choices.items() if key != "allOf"}
    return {"type": "object", "description": f"Of {version.model}.", "properties": properties}


def _input_name(version: Version) -> str:
    return f"Input-{version.id[:8]}"


_SEED = next(version for version in VERSIONS.values() if version.id.startswith("7a76a825"))
_INPUTS = {_input_name(version): _input(version) for version in VERSIONS.values()}
_INPUT = {"anyOf": [ref(name) for name in _INPUTS]}
_REFERENCES = [*VERSIONS, *dict.fromkeys(version.model for version in VERSIONS.values())]

SCHEMAS: Mapping[str, Any] = {
    **_INPUTS,
    "Prediction": whole(_PREDICTION, "deadline", *WEBHOOK),
    "PredictionRequest": whole(
        {"version": {**TEXT, "examples": _REFERENCES}, "input": _INPUT, **WEBHOOK}, *WEBHOOK
    ),
    "ModelPredictionRequest": whole({"input": _INPUT, **WEBHOOK}, *WEBHOOK),
    "PredictionPage": page("Prediction"),
    "Model": whole(_MODEL),
    "ModelPage": page("Model"),
    "Version": VERSION,
    "VersionPage": page("Version"),
    "File": whole(_FILE),
    "FilePage": page("File"),
    "Upload": whole(_UPLOAD, "metadata", "filename", "type"),
    "EmptyPage": whole(
        {"next": {"type": "null"}, "previous": {"type": "null"}, "results": array({})}
    ),
    "Account": whole(
        {"type": TEXT, "username": TEXT, "name": TEXT, "github_url": MAYBE_TEXT}
    ),
    "Hardware": array(whole({"sku": TEXT, "name": TEXT})),
    "Secret": whole({"key": {"type": "string", "pattern": "^whsec_"}}),
    "Event": whole({"event": {**TEXT, "enum": [*STREAMED]}, "id": TEXT, "data": TEXT}),
    "Problem": whole(_PROBLEM, "title", "invalid_fields"),
    "Alive": whole({"status": TEXT}),
    "Ready": whole({"worker": TEXT, "stopping": FLAG}),
    "CogIndex": whole(dict.fromkeys(_COG_INDEX, TEXT)),
    "CogHealth": whole({"status": TEXT, "setup": whole(_COG_SETUP, *_COG_SETUP)}),
    "CogRequest": whole(
        {"input": ref(_input_name(_SEED)), **_COG_ASKED}, "input", *_COG_ASKED
    ),
    "CogPrediction": whole(_COG_PREDICTION),
    "CogRefusal": whole(_COG_REFUSAL, *_COG_REFUSAL),
    "CogInvalid": whole({"detail": array(DETAIL)}),
    "Empty": {"type": "object", "maxProperties": 0},
}  # fmt: skip
