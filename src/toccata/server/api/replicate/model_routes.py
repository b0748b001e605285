"""/v1/models, and the routes of accounts, hardware and collections."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from toccata.server.api.dependencies import address, app_state, authorize, refuse
from toccata.server.strict_json import JSONResponse, read_json
from toccata.server.versions import LATEST, Version, find_model, find_version, model_json
from toccata.server.versions import version_json as version_as_json
from toccata.server.views import page_json

NOT_OFFERED = (
    "This server does not offer {}: it generates music with the models that it was started with. "
    "See /v1/models, and `toccata train` for training a LoRA of your own."
)
ACCOUNT = {"type": "organization", "username": "toccata", "name": "toccata", "github_url": None}

api = APIRouter(dependencies=[Depends(authorize)])


@api.get("/models")
async def models(request: Request) -> JSONResponse:
    return JSONResponse(page_json([_model(request, *key.split("/")) for key in LATEST]))


@api.api_route("/models", methods=["QUERY"], include_in_schema=False)
async def search(request: Request) -> JSONResponse:
    """The body is the text to search for, in one layer of JSON quotes or none."""
    text = (await request.body()).decode(errors="replace").strip()
    try:
        text = str(read_json(text))
    except ValueError:
        text = text.strip('"')
    found = [key for key in LATEST if text.lower() in key.lower()]
    return JSONResponse(page_json([_model(request, *key.split("/")) for key in found]))


@api.get("/models/{owner}/{name}")
async def model(request: Request, owner: str, name: str) -> JSONResponse:
    return JSONResponse(_model(request, owner, name))


@api.get("/models/{owner}/{name}/versions")
async def versions(owner: str, name: str) -> JSONResponse:
    return JSONResponse(page_json([version_as_json(one) for one in _versions(owner, name)]))


@api.get("/models/{owner}/{name}/versions/{version_id}")
async def version(owner: str, name: str, version_id: str) -> JSONResponse:
    found = find_version(f"{owner}/{name}:{version_id}")
    if found is None:
        raise refuse(404, f"There is no version {version_id} of {owner}/{name}")
    return JSONResponse(version_as_json(found))


@api.get("/models/{owner}/{name}/examples")
async def examples(owner: str, name: str) -> JSONResponse:
    _versions(owner, name)
    return JSONResponse(page_json([]))


@api.get("/account")
async def account() -> JSONResponse:
    return JSONResponse(ACCOUNT)


@api.get("/hardware")
async def hardware(request: Request) -> JSONResponse:
    device = app_state(request).predictions.supervisor.device or "cpu"
    return JSONResponse([{"sku": device, "name": device.upper()}])


@api.get("/webhooks/default/secret")
async def webhook_secret(request: Request) -> JSONResponse:
    return JSONResponse({"key": app_state(request).webhook_secret})


@api.get("/collections")
@api.get("/deployments")
@api.get("/trainings")
async def nothing() -> JSONResponse:
    return JSONResponse(page_json([]))


@api.get("/collections/{slug}")
@api.get("/deployments/{owner}/{name}")
@api.get("/trainings/{training_id}")
async def none_such() -> Response:
    raise refuse(404, "The requested resource could not be found.")


@api.post("/models")
@api.post("/deployments")
@api.post("/deployments/{owner}/{name}/predictions")
@api.post("/models/{owner}/{name}/versions/{version_id}/trainings")
@api.post("/trainings", include_in_schema=False)
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
