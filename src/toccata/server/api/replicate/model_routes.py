"""Routes of /v1/models, and of the account, the hardware and what this server does not offer."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from toccata.server.api.dependencies import address, app_state, authorize, refuse
from toccata.server.api.openapi import path_parameters, problems
from toccata.server.api.parameters import ModelName, Owner, VersionId
from toccata.server.api.replicate import schemas
from toccata.server.strict_json import read_json
from toccata.server.versions import LATEST, Version, find_model, find_version, model_json
from toccata.server.versions import version_json as version_as_json
from toccata.server.views import page_json

NOT_OFFERED = (
    "This server does not offer {}: it generates music with the models that it was started with. "
    "See /v1/models, and `toccata train` for training a LoRA of your own."
)
# What the documents of routes have in common that answer with an empty list, or always with 404.
_NONE_YET: dict[str, Any] = {
    "response_model": schemas.EmptyPage,
    "response_description": "The empty list.",
}
_NOT_FOUND: dict[str, Any] = {
    "status_code": 404,
    "response_class": Response,
    "responses": problems(404),
}

router = APIRouter(dependencies=[Depends(authorize)])


@router.get(
    "/models",
    summary="List all models.",
    response_model=schemas.ModelPage,
    response_description="The models.",
)
async def models(request: Request) -> dict[str, Any]:
    return page_json([_model(request, *key.split("/")) for key in LATEST])


@router.api_route(
    "/models", methods=["QUERY"], include_in_schema=False, response_model=schemas.ModelPage
)
async def search(request: Request) -> dict[str, Any]:
    """Search the models for the text in the body, which is a JSON string or plain text."""
    text = (await request.body()).decode(errors="replace").strip()
    try:
        text = str(read_json(text))
    except ValueError:
        text = text.strip('"')
    found = [key for key in LATEST if text.lower() in key.lower()]
    return page_json([_model(request, *key.split("/")) for key in found])


@router.get(
    "/models/{owner}/{name}",
    summary="Get a model.",
    response_model=schemas.Model,
    response_description="The model.",
    responses=problems(404),
)
async def model(request: Request, owner: Owner, name: ModelName) -> dict[str, Any]:
    return _model(request, owner, name)


@router.get(
    "/models/{owner}/{name}/versions",
    summary="List the versions of a model.",
    response_model=schemas.VersionPage,
    response_description="The versions, newest first.",
    responses=problems(404),
)
async def versions(owner: Owner, name: ModelName) -> dict[str, Any]:
    return page_json([version_as_json(one) for one in _versions(owner, name)])


@router.get(
    "/models/{owner}/{name}/versions/{version_id}",
    summary="Get a version of a model, with its inputs.",
    response_model=schemas.Version,
    response_description="The version.",
    responses=problems(404),
)
async def version(owner: Owner, name: ModelName, version_id: VersionId) -> dict[str, Any]:
    found = find_version(f"{owner}/{name}:{version_id}")
    if found is None:
        raise refuse(404, f"There is no version {version_id} of {owner}/{name}")
    return version_as_json(found)


@router.get(
    "/models/{owner}/{name}/examples",
    summary="List the examples of a model: always an empty list.",
    responses=problems(404),
    **_NONE_YET,
)
async def examples(owner: Owner, name: ModelName) -> dict[str, Any]:
    _versions(owner, name)
    return page_json([])


@router.get("/account", summary="Get the account.", response_description="The account.")
async def account() -> schemas.Account:
    return schemas.Account(type="organization", username="toccata", name="toccata", github_url=None)


@router.get(
    "/hardware",
    summary="List the hardware that the server computes on.",
    response_description="The hardware.",
)
async def hardware(request: Request) -> list[schemas.Hardware]:
    device = app_state(request).predictions.supervisor.device or "cpu"
    return [schemas.Hardware(sku=device, name=device.upper())]


@router.get(
    "/webhooks/default/secret",
    summary="Get the secret that webhooks are signed with.",
    response_description="The secret.",
)
async def webhook_secret(request: Request) -> schemas.Secret:
    return schemas.Secret(key=app_state(request).webhook_secret)


@router.get("/collections", summary="List all collections: always an empty list.", **_NONE_YET)
@router.get("/deployments", summary="List all deployments: always an empty list.", **_NONE_YET)
@router.get("/trainings", summary="List all trainings: always an empty list.", **_NONE_YET)
async def nothing() -> dict[str, Any]:
    return page_json([])


@router.get(
    "/collections/{slug}",
    summary="Get a collection: there is none.",
    openapi_extra=path_parameters("slug"),
    **_NOT_FOUND,
)
@router.get(
    "/deployments/{owner}/{name}",
    summary="Get a deployment: there is none.",
    openapi_extra=path_parameters("owner", "name"),
    **_NOT_FOUND,
)
@router.get(
    "/trainings/{training_id}",
    summary="Get a training: there is none.",
    openapi_extra=path_parameters("training_id"),
    **_NOT_FOUND,
)
async def none_such() -> Response:
    raise refuse(404, "The requested resource could not be found.")


@router.post("/models", summary="Create a model: not offered.", **_NOT_FOUND)
@router.post("/deployments", summary="Create a deployment: not offered.", **_NOT_FOUND)
@router.post(
    "/deployments/{owner}/{name}/predictions",
    summary="Create a prediction of a deployment: not offered.",
    openapi_extra=path_parameters("owner", "name"),
    **_NOT_FOUND,
)
@router.post(
    "/models/{owner}/{name}/versions/{version_id}/trainings",
    summary="Create a training: not offered.",
    openapi_extra=path_parameters("owner", "name", "version_id"),
    **_NOT_FOUND,
)
@router.post("/trainings", include_in_schema=False)
async def not_supported(request: Request) -> Response:
    path = request.url.path
    kinds = {"trainings": "training", "deployments": "deployments"}
    kind = next((words for part, words in kinds.items() if part in path), "creating models")
    raise refuse(404, NOT_OFFERED.format(kind))


def _model(request: Request, owner: str, name: str) -> dict[str, Any]:
    found = _versions(owner, name)
    return model_json(found, base_url=address(request).base, run_count=0)


def _versions(owner: str, name: str) -> tuple[Version, ...]:
    found = find_model(owner, name)
    if not found:
        raise refuse(404, f"There is no model {owner}/{name}")
    return found
