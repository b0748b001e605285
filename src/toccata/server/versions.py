"""The served versions of each model, with their input schemas.

`find_version` resolves the references to versions that clients may use. `openapi` is the document
that a Cog container publishes about itself; the hosted API returns the same one with each version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toccata.generation.schema import ENCODE_DECODE, Field, Schema
from toccata.server.hosted_inputs import EXTENDED, HOSTED

_HOSTED_COG_VERSION = "0.8.6"

# Other names of the owner of the hosted model, here and on other sites.
_OWNERS = {"facebookresearch": "meta", "joehoover": "meta", "facebook": "meta"}


@dataclass(frozen=True)
class Version:
    """One version of a model, whose inputs never change.

    Attributes:
        id: 64 hexadecimal digits.
        owner: The owner of the model.
        name: The name of the model.
        schema: The inputs.
        created_at: ISO 8601, in UTC.
    """

    id: str
    owner: str
    name: str
    schema: Schema
    created_at: str

    @property
    def model(self) -> str:
        """The model, as owner/name."""
        return f"{self.owner}/{self.name}"


_MULTI_BAND_DIFFUSION = Field(
    "multi_band_diffusion", "boolean", False, "Decode by multi-band diffusion. Not supported here."
)


MAX_VARIATIONS = 8
COUNT = Field(
    "count",
    "integer",
    1,
    "How many variations to make at once, with the seeds that follow each other from `seed` on. "
    "More than 1: the output is a list.",
    minimum=1,
    maximum=MAX_VARIATIONS,
)


def _stereo(models: tuple[str, ...], description: str) -> Schema:
    """Make the schema of the versions with stereo models, which publish no longest duration."""
    fields = HOSTED.changed(
        model_version={"default": models[0], "choices": models, "description": description},
        duration={"maximum": None, "ceiling": 3600},
    ).fields
    place = HOSTED.names.index("normalization_strategy")
    return Schema((*fields[:place], _MULTI_BAND_DIFFUSION, *fields[place:]))


_STEREO_MODELS = ("stereo-melody-large", "stereo-large", "melody-large", "large")
_STEREO = _stereo(_STEREO_MODELS, "The model to use.")
_STEREO_CODEC = _stereo((*_STEREO_MODELS, ENCODE_DECODE), HOSTED["model_version"].description)

_TOCCATA_1 = "0868fac6aaf3256abe93444fd929576f1f14daeca78c51d107531441cd432d3d"  # of "toccata/1"
_2024_03 = "671ac645ce5e552cc63a54a2bbff63fcf798043055d2dac5fc9e36a837eedcfb"
_2023_12 = "b05b1dff1d8c6dc63d14b0cdb42135378dcb87f6373b0d3d341ede46e59e2b38"
_2023_06 = "7a76a8258b23fae65c5a22debb8841d1d7e816b75c2f24218cd2bd8573787906"

# Newest first. The dates of the hosted ones are known to the month.
_ALL = (
    Version(
        _TOCCATA_1, "toccata", "musicgen", Schema((*EXTENDED.fields, COUNT)), "2026-11-25T00:00:00Z"
    ),
    Version(_2024_03, "meta", "musicgen", _STEREO, "2024-03-01T00:00:00Z"),
    Version(_2023_12, "meta", "musicgen", _STEREO_CODEC, "2023-12-01T00:00:00Z"),
    Version(_2023_06, "meta", "musicgen", HOSTED, "2023-06-01T00:00:00Z"),
)
VERSIONS: Mapping[str, Version] = {version.id: version for version in _ALL}
LATEST: Mapping[str, Version] = {version.model: version for version in reversed(_ALL)}


def find_version(reference: str) -> Version | None:
    """Find a version.

    Args:
        reference: An id, `owner/name:id`, or `owner/name` for the latest version.

    Returns:
        The version; None: there is none.
    """
    model, colon, last = reference.rpartition(":")
    if not colon:
        return VERSIONS.get(last) or LATEST.get(_resolved(last))
    version = VERSIONS.get(last)
    return version if version and version.model == _resolved(model) else None


def find_model(owner: str, name: str) -> tuple[Version, ...]:
    """Find the versions of a model, newest first; empty where there is no such model."""
    model = _resolved(f"{owner}/{name}")
    return tuple(version for version in _ALL if version.model == model)


def _resolved(model: str) -> str:
    owner, slash, name = model.partition("/")
    return f"{_OWNERS.get(owner, owner)}{slash}{name}"


def version_json(version: Version) -> dict[str, Any]:
    """Show a version as the hosted API does."""
    return {
        "id": version.id,
        "created_at": version.created_at,
        "cog_version": _HOSTED_COG_VERSION,
        "openapi_schema": openapi(version),
    }


def model_json(versions: Sequence[Version], *, base_url: str, run_count: int) -> dict[str, Any]:
    """Show a model as the hosted API does.

    Args:
        versions: Its versions, newest first, at least one.
        base_url: The URL of this server.
        run_count: How many predictions it has run.
    """
    latest = versions[0]
    return {
        "url": f"{base_url.rstrip('/')}/{latest.model}",
        "owner": latest.owner,
        "name": latest.name,
        "description": "Music from a description, with audio to follow or to continue.",
        "visibility": "public",
        "is_official": False,
        "paper_url": "https://arxiv.org/abs/2306.05284",
        "run_count": run_count,
        **dict.fromkeys(("github_url", "license_url", "cover_image_url", "default_example")),
        "created_at": versions[-1].created_at,
        "latest_version": version_json(latest),
    }


def openapi(version: Version) -> dict[str, Any]:
    """Make the OpenAPI document of a Cog container that serves a version."""
    fields = version.schema.fields
    properties = {field.name: _property(field, order) for order, field in enumerate(fields)}
    schemas = {"Input": _object("Input", properties), **_envelopes()}
    if COUNT in fields:
        schemas["Output"] = {"anyOf": [_uri(), _array(_uri())], "title": "Output"}
    for field in fields:
        if field.choices:
            schemas[field.name] = _enumeration(field.name, field.choices)
    return {
        "openapi": "3.0.2",
        "info": {"title": "Cog", "version": "0.1.0"},
        "paths": {route[2]: {route[1]: _operation(*route)} for route in _ROUTES},
        "components": {"schemas": schemas},
    }


def _property(field: Field, order: int) -> dict[str, Any]:
    """Make the schema of one input; an optional one is not nullable, it only has no default."""
    published = {"default": field.default, "minimum": field.minimum, "maximum": field.maximum}
    rest = {key: _plain(value) for key, value in published.items() if value is not None}
    rest |= {"description": field.description, "x-order": order}
    if field.choices:
        return {"allOf": [_ref(field.name)], **rest}
    kind = _uri() if field.kind == "audio" else {"type": field.kind}
    return {**kind, "title": _title(field.name), **rest}


def _plain(value: str | float | bool) -> str | float | bool:
    """Turn 0.0 into 0, as the published schema has it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _title(name: str) -> str:
    return name.replace("_", " ").title()


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _uri() -> dict[str, Any]:
    return {"type": "string", "format": "uri"}


def _texts(*names: str, **more: str) -> dict[str, Any]:
    return {name: {"type": "string", "title": _title(name), **more} for name in names}


def _enumeration(title: str, values: Sequence[str]) -> dict[str, Any]:
    return {"type": "string", "enum": [*values], "title": title, "description": "An enumeration."}


def _object(title: str, properties: dict[str, Any], **more: object) -> dict[str, Any]:
    return {"type": "object", "title": title, "properties": properties, **more}


def _array(items: dict[str, Any], **more: object) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


def _envelopes() -> dict[str, Any]:
    """Make the schemas of requests, responses and errors, which are the same for every model."""
    states = ("starting", "processing", "succeeded", "canceled", "failed")
    events = ("start", "output", "logs", "completed")
    request = {
        **_texts("id", "output_file_prefix"),
        **_texts("created_at", format="date-time"),
        **_texts("webhook", format="uri"),
        "input": _ref("Input"),
        "webhook_events_filter": _array(_ref("WebhookEvent"), default=[*events]),
    }
    response = {
        **_texts("id", "version", "error"),
        **_texts("logs", default=""),
        **_texts("created_at", "started_at", "completed_at", format="date-time"),
        "input": _ref("Input"),
        "output": _ref("Output"),
        "status": _ref("Status"),
        "metrics": {"type": "object", "title": "Metrics"},
    }
    problem = {
        "loc": _array({"anyOf": [{"type": "string"}, {"type": "integer"}]}, title="Location"),
        "msg": {"type": "string", "title": "Message"},
        "type": {"type": "string", "title": "Error Type"},
    }
    detail = _array(_ref("ValidationError"), title="Detail")
    return {
        "Output": {"title": "Output", **_uri()},
        "PredictionRequest": _object("PredictionRequest", request),
        "PredictionResponse": _object("PredictionResponse", response),
        "Status": _enumeration("Status", states),
        "WebhookEvent": _enumeration("WebhookEvent", events),
        "ValidationError": _object("ValidationError", problem, required=[*problem]),
        "HTTPValidationError": _object("HTTPValidationError", {"detail": detail}),
    }


_ROUTES = (  # function, method, path, description
    ("root", "get", "/", "Where everything is."),
    ("healthcheck", "get", "/health-check", "Whether the model is ready."),
    ("predict", "post", "/predictions", "Run the model once."),
    ("predict_idempotent", "put", "/predictions/{prediction_id}", "Run it once for this id."),
    ("cancel", "post", "/predictions/{prediction_id}/cancel", "Stop a run."),
    ("start_shutdown", "post", "/shutdown", "Stop serving."),
)


def _operation(function: str, method: str, path: str, description: str) -> dict[str, Any]:
    name = re.sub(r"\W", "_", f"{function}{path}_{method}")
    runs = function.startswith("predict")
    parameters = [_parameter("path", "prediction_id")] if "{" in path else []
    parameters += [_parameter("header", "prefer")] if runs else []
    response = _ref("PredictionResponse") if runs else {"title": _title(f"response_{name}")}
    responses = {"200": {"description": "Successful Response", **_content(response)}}
    if parameters:
        problems = _content(_ref("HTTPValidationError"))
        responses["422"] = {"description": "Validation Error", **problems}
    return {
        "summary": _title(function),
        "description": description,
        "operationId": name,
        "parameters": parameters,
        **({"requestBody": _content(_ref("PredictionRequest"))} if runs else {}),
        "responses": responses,
    }


def _parameter(place: str, name: str) -> dict[str, Any]:
    title = {"type": "string", "title": _title(name)}
    return {"in": place, "name": name, "required": place == "path", "schema": title}


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}
