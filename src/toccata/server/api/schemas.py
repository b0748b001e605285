"""Schemas that every part of the HTTP API shares.

The models of this and the other `schemas` modules document the API: FastAPI builds the OpenAPI
document from them. Requests are read and checked by the routes themselves, because the contract
fixes the words of each error.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Uri = Annotated[str, WithJsonSchema({"type": "string", "format": "uri"})]
# Beside a default of None: the property may be left out, but is never null.
Absent = SkipJsonSchema[None]

Output = Uri | list[Uri] | None
WebhookEvents = list[Literal["start", "output", "logs", "completed"]]


class Schema(BaseModel):
    """A model whose properties are described by the docstrings below them."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Empty(Schema):
    """An object without properties."""

    model_config = ConfigDict(extra="forbid")


class InvalidField(Schema):
    """One invalid field of a request."""

    type: str
    """The kind of error, such as `number_lte`."""
    field: str
    """The path of the field, such as `input.duration`. It is empty for the whole body."""
    description: str
    """What is wrong with the value."""


class Problem(Schema):
    """An error, as RFC 9457 describes it."""

    title: str | Absent = None
    """The kind of error."""
    detail: str
    """What is wrong with this request."""
    status: int
    """The HTTP status code."""
    invalid_fields: list[InvalidField] | Absent = None
    """Every invalid field, if the request failed validation."""


class Alive(Schema):
    """The answer of the liveness probe."""

    status: Literal["ok"]
    """Always `ok`."""


class Ready(Schema):
    """The answer of the readiness probe: the state of everything that the server depends on."""

    worker: str
    """The state of the worker process. It accepts predictions when this is `ready`."""
    stopping: bool
    """Whether the server is shutting down."""
    database: str
    """The state of the database: `ok` or `down`."""
    storage: str
    """The state of the file storage: `ok` or `down`."""
    disk: str
    """The state of the disk: `ok`, `full` or `down`."""
