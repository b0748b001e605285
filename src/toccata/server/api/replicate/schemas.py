"""Schemas of the hosted API, under /v1: predictions, models, files and the account."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from toccata.server.api.replicate.input_models import AnyInput
from toccata.server.api.schemas import Absent, Output, Schema, Time, Uri, WebhookEvents
from toccata.server.versions import VERSIONS

_REFERENCES = [*VERSIONS, *dict.fromkeys(version.model for version in VERSIONS.values())]


class ModelPredictionRequest(Schema):
    """A request for a prediction of the latest version of a model."""

    input: AnyInput
    """The inputs of the version. Inputs that it does not know are ignored."""
    webhook: Uri | Absent = None
    """The URL that the server posts the prediction to when it changes."""
    webhook_events_filter: WebhookEvents | Absent = None
    """Which changes are posted: the output and the end, if no list is given."""


class PredictionRequest(ModelPredictionRequest):
    """A request for a prediction of one version."""

    version: str = Field(examples=_REFERENCES)
    """The id of the version, `owner/name:id`, or `owner/name` for the latest version."""


class PredictionUrls(Schema):
    """The addresses of a prediction."""

    get: Uri
    """The prediction itself."""
    cancel: Uri
    """Cancels the prediction (POST)."""
    stream: Uri
    """Its events, as they happen (server-sent events)."""
    audio: Uri
    """Its audio, while it is generated and afterwards."""
    web: Uri
    """The page that shows it."""


class Prediction(Schema):
    """A prediction: a request for music, and its result."""

    id: str
    """The id of the prediction."""
    model: str
    """The model as `owner/name`."""
    version: str
    """The id of the version of the model."""
    status: Literal["starting", "processing", "succeeded", "failed", "canceled", "aborted"]
    """The state of the prediction. The last four are final."""
    input: dict[str, Any]
    """The inputs of the request."""
    output: Output
    """The URL of the audio file, or a list of URLs if there are several variations. It is a data
    URI where the server is configured so. It is null until the prediction has succeeded."""
    error: str | None
    """Why the prediction failed."""
    logs: str
    """The log of the prediction, one line after the other."""
    metrics: dict[str, Any]
    """Measurements, such as `predict_time` in seconds."""
    created_at: Time
    """When the prediction was created."""
    started_at: Time | None
    """When the prediction was started."""
    completed_at: Time | None
    """When the prediction ended."""
    data_removed: bool
    """Whether its input, output and logs have been deleted."""
    source: str
    """Where the prediction comes from: always `api`."""
    urls: PredictionUrls
    """The addresses of the prediction."""
    deadline: Time | Absent = None
    """When the prediction is canceled if it has not ended (`Cancel-After`)."""
    webhook: Uri | Absent = None
    """The URL that the server posts the prediction to when it changes."""
    webhook_events_filter: WebhookEvents | Absent = None
    """Which changes are posted to the webhook."""


class Event(Schema):
    """A server-sent event of a prediction."""

    event: Literal["output", "logs", "error", "done"]
    """The kind of event."""
    id: str
    """The id of the event, for `Last-Event-ID`."""
    data: str
    """The URL of an output, a piece of the log, or a JSON object about the error or the end."""


class Version(Schema):
    """A version of a model. Its inputs never change."""

    id: str
    """The id of the version: 64 hexadecimal digits."""
    created_at: Time
    """When the version was published."""
    cog_version: str
    """The version of Cog that the hosted model was built with."""
    openapi_schema: dict[str, Any]
    """The OpenAPI document of a Cog container of this version. Its schema `Input` describes the
    inputs."""


class Model(Schema):
    """A model that the server offers."""

    url: str
    """The address of the model."""
    owner: str
    """The owner of the model."""
    name: str
    """The name of the model."""
    description: str
    """What the model does."""
    visibility: Literal["public"]
    """Always `public`."""
    is_official: bool
    """Whether the hosted API maintains the model: always false."""
    paper_url: str | None
    """The paper that describes the model."""
    run_count: int
    """How many predictions the model has made. This server does not count: always 0."""
    github_url: str | None
    """The source code of the model."""
    license_url: str | None
    """The license of the model."""
    cover_image_url: str | None
    """A picture for the model."""
    default_example: str | None
    """An example prediction: always null."""
    created_at: Time
    """When the first version was published."""
    latest_version: Version
    """The newest version."""


class Upload(Schema):
    """The fields of an upload."""

    content: Annotated[bytes, Field(json_schema_extra={"format": "binary"})]
    """The file, of at most 100 MiB."""
    metadata: str | Absent = None
    """A JSON object that is stored with the file."""
    filename: str | Absent = None
    """The name of the file, instead of the one that `content` has."""
    type: str | Absent = None
    """The content type of the file, instead of the one that `content` has."""


class Checksums(Schema):
    """The checksums of a file, in hexadecimal digits."""

    sha256: str
    """The SHA-256 checksum."""
    md5: str
    """The MD5 checksum."""


class FileUrls(Schema):
    """The addresses of an uploaded file."""

    get: Uri
    """The description of the file. Use it as the value of an input."""


class File(Schema):
    """An uploaded file."""

    id: str
    """The id of the file."""
    name: str
    """The name of the file."""
    content_type: str
    """The content type of the file."""
    size: int
    """The size of the file in bytes."""
    etag: str
    """The MD5 checksum of the file."""
    checksums: Checksums
    """The checksums of the file."""
    metadata: dict[str, Any]
    """The JSON object that was uploaded with the file."""
    created_at: Time
    """When the file was uploaded."""
    expires_at: Time | None
    """When the file is deleted."""
    urls: FileUrls
    """The addresses of the file."""


class Account(Schema):
    """The account of this server."""

    type: str
    """The kind of account."""
    username: str
    """The name to log in with."""
    name: str
    """The name to show."""
    github_url: str | None
    """The account at GitHub: always null."""


class Hardware(Schema):
    """A device that the server computes on."""

    sku: str
    """The name of the device for programs, such as `cuda`."""
    name: str
    """The name of the device for people."""


class Secret(Schema):
    """The secret that webhooks are signed with."""

    key: str = Field(pattern="^whsec_")
    """The secret, in the form of the Standard Webhooks."""


class Page(Schema):
    """A part of a list."""

    next: str | None
    """The address of the next part; null on the last one."""
    previous: str | None
    """The address of the part before: always null."""


class PredictionPage(Page):
    """A part of the list of predictions, newest first."""

    results: list[Prediction]


class ModelPage(Page):
    """The list of models."""

    results: list[Model]


class VersionPage(Page):
    """The list of versions of a model, newest first."""

    results: list[Version]


class FilePage(Page):
    """A part of the list of uploaded files, newest first."""

    results: list[File]


class EmptyPage(Schema):
    """A list that is always empty."""

    next: None
    previous: None
    results: Annotated[list[Any], Field(max_length=0)]
