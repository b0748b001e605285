"""Schemas of the Cog API, at the root."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from toccata.server.api.cog.cog_requests import VERSION
from toccata.server.api.replicate.input_models import INPUT_MODELS, InputsOf
from toccata.server.api.schemas import Absent, Output, Schema, Time, Uri, WebhookEvents

CogId = Annotated[str, Field(pattern="^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$")]


class CogRequest(Schema):
    """A request for a prediction of the Cog API."""

    input: Annotated[Mapping[str, Any], InputsOf(INPUT_MODELS[VERSION.id])] | Absent = None
    """The inputs. Those that are left out have their defaults."""
    id: CogId | Absent = None
    """The id of the new prediction. The server chooses one if it is left out."""
    output_file_prefix: Uri | Absent = None
    """The server uploads the output to this URL, with the name of the file behind it (PUT)."""
    webhook: Uri | Absent = None
    """The URL that the server posts the prediction to when it changes."""
    webhook_events_filter: WebhookEvents | Absent = None
    """Which changes are posted: all, if no list is given."""


class CogMetrics(Schema):
    """Measurements of a prediction."""

    predict_time: float
    """How long the prediction ran, in seconds."""


class CogPrediction(Schema):
    """A prediction as a Cog container shows it."""

    input: dict[str, Any]
    """All inputs, those with their defaults included."""
    output: Output
    """The output as a data URI or URL, or a list of them."""
    id: str
    """The id of the prediction."""
    version: None
    """Always null."""
    created_at: Time
    """When the prediction was created."""
    started_at: Time | None
    """When the prediction was started."""
    completed_at: Time | None
    """When the prediction ended."""
    logs: str
    """The log of the prediction, one line after the other."""
    error: str | None
    """Why the prediction failed."""
    status: Literal["processing", "succeeded", "failed", "canceled", "aborted"]
    """The state of the prediction. All but the first are final."""
    metrics: CogMetrics | None
    """Measurements, once the prediction has run."""


class CogRefusal(Schema):
    """Why the server does not run a prediction now. It has the keys of old and new containers."""

    detail: str | Absent = None
    """What is wrong."""
    error: str | Absent = None
    """Why, or what helps."""
    status: str | Absent = None
    """`failed`, if a prediction was requested."""


class CogInvalidField(Schema):
    """One invalid field of a request."""

    loc: list[str | int]
    """The path of the field, such as `body`, `input`, `duration`."""
    msg: str
    """What is wrong with the value."""
    type: str
    """The kind of error, such as `value_error.number.not_le`."""


class CogInvalid(Schema):
    """The answer to a request that failed validation."""

    detail: list[CogInvalidField]
    """Every invalid field."""


class CogSetup(Schema):
    """How the worker process was started. It is empty until that has ended."""

    started_at: Time | Absent = None
    """When the start began."""
    completed_at: Time | Absent = None
    """When the start ended."""
    status: Literal["succeeded", "failed"] | Absent = None
    """Whether the worker process started."""
    logs: str | Absent = None
    """Why the worker process did not start."""


class CogHealth(Schema):
    """The state of the worker process."""

    status: Literal["STARTING", "READY", "BUSY", "SETUP_FAILED", "DEFUNCT"]
    """The state: predictions are accepted when it is `READY`."""
    setup: CogSetup
    """How the worker process was started."""


class CogIndex(Schema):
    """The addresses of the Cog API."""

    cog_version: str
    """The version of Cog whose API this is."""
    docs_url: str
    """The documentation."""
    openapi_url: str
    """The OpenAPI document of the model, with its inputs."""
    shutdown_url: str
    """Stops the server (POST)."""
    healthcheck_url: str
    """The state of the worker process."""
    predictions_url: str
    """Creates a prediction (POST)."""
    predictions_idempotent_url: str
    """Creates a prediction once (PUT)."""
    predictions_cancel_url: str
    """Cancels a prediction (POST)."""
