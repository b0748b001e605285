"""Models of the inputs of each version, for the OpenAPI document.

Their schemas are those that `versions.openapi` publishes. The routes check inputs by
`replicate.validation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Union

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, create_model

from toccata.server.versions import VERSIONS, Version, openapi


def _input_model(version: Version) -> type[BaseModel]:
    """A model whose schema is that of the inputs of `version`, with its choices in place."""
    schemas = openapi(version)["components"]["schemas"]
    properties: dict[str, Any] = {}
    for name, field in schemas["Input"]["properties"].items():
        choices = {**schemas.get(name, {}), **field} if "allOf" in field else field
        properties[name] = {key: value for key, value in choices.items() if key != "allOf"}
    description = f"The inputs of {version.model}, version {version.id[:8]}."
    extra: dict[str, Any] = {"description": description, "properties": properties}
    config = ConfigDict(json_schema_extra=extra)
    return create_model(f"Input-{version.id[:8]}", __config__=config)


INPUT_MODELS: Mapping[str, type[BaseModel]] = {
    version.id: _input_model(version) for version in VERSIONS.values()
}
"""By the id of a version: the model of its inputs."""


class InputsOf:
    """An annotation: the value is one of these models."""

    def __init__(self, *models: type[BaseModel]) -> None:
        self._models = models

    def __get_pydantic_core_schema__(self, _source: Any, handler: GetCoreSchemaHandler) -> Any:
        return handler.generate_schema(Union[self._models])  # noqa: UP007 - the models are data


AnyInput = Annotated[Mapping[str, Any], InputsOf(*INPUT_MODELS.values())]
