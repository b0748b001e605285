"""Build the app: its components, its routes, and its start and stop."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from http import HTTPStatus
from typing import cast

from fastapi import FastAPI, Request
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from toccata import __version__
from toccata.errors import ToccataError
from toccata.models.lora_names import existing, parse
from toccata.models.registry import find_folder
from toccata.server.api import health_routes
from toccata.server.api.auth import Tokens
from toccata.server.api.body_limits import BodyLimits
from toccata.server.api.cog import cog_routes
from toccata.server.api.cog.cog_outputs import CogOutputs
from toccata.server.api.cog.cog_requests import CogRefusal
from toccata.server.api.cog.schemas import CogRequest
from toccata.server.api.dependencies import AppState, ProblemError
from toccata.server.api.docs_page import docs_html
from toccata.server.api.middleware import RateLimits, RequestLog
from toccata.server.api.openapi import complete_openapi
from toccata.server.api.path_prefix import PathPrefix, PublicHost
from toccata.server.api.replicate import (
    file_routes,
    model_routes,
    output_routes,
    prediction_routes,
)
from toccata.server.api.replicate.schemas import (
    Event,
    ModelPredictionRequest,
    PredictionRequest,
    Upload,
)
from toccata.server.api.replicate.validation import InvalidRequest
from toccata.server.api.request_guard import RequestGuard
from toccata.server.background import background_task
from toccata.server.config import ServerSettings
from toccata.server.outbound import OutboundClient, OutboundPolicy
from toccata.server.predictions.kept_files import KeptFiles
from toccata.server.predictions.lifecycle import Predictions
from toccata.server.predictions.metrics import Metrics
from toccata.server.predictions.quota import UploadQuota
from toccata.server.predictions.retention import keep_tidy
from toccata.server.predictions.webhook_events import WebhookPublisher, publish_pending
from toccata.server.predictions.webhooks import new_secret
from toccata.server.storage.async_repository import AsyncRepository
from toccata.server.storage.blobs import AsyncBlobStorage, BlobStorage
from toccata.server.storage.instance_lock import only_server
from toccata.server.storage.readiness import Health
from toccata.server.storage.repository import Prediction, Repository, RepositoryError
from toccata.server.strict_json import JSONResponse
from toccata.server.ui.page_files import PageFiles
from toccata.server.ui.page_files import keep_tidy as tidy_page
from toccata.server.views import Output, problem
from toccata.server.worker.supervisor import Work

log = logging.getLogger(__name__)

# Some clients join a base URL and a path that both have the prefix.
PREFIXES = ("/v1", "/v1/v1")
RETRY_AFTER_S = "5"
MAX_COUNTED_UPLOADS = 1_000_000  # uploads of earlier starts, for the quota
# Models that the OpenAPI document refers to, though no route returns them.
DOCUMENTED = (CogRequest, Event, ModelPredictionRequest, PredictionRequest, Upload)


def create_app(settings: ServerSettings, work: Work | None = None) -> FastAPI:
    """Make the app of a server.

    Args:
        settings: The settings of the server.
        work: The main function of the worker process; None: the real one.

    Returns:
        The app, whose lifespan starts and stops everything else.
    """
    app = FastAPI(
        title="toccata",
        version=__version__,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(settings, work),
        default_response_class=JSONResponse,
    )
    for prefix in PREFIXES:
        for routes in (prediction_routes, model_routes, file_routes):
            app.include_router(routes.router, prefix=prefix, include_in_schema=prefix == "/v1")
    app.include_router(output_routes.router)
    app.include_router(health_routes.router)
    app.include_router(cog_routes.router)
    app.include_router(cog_routes.public_router)
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(CogRefusal, _cog_refusal)
    app.add_exception_handler(InvalidRequest, _invalid)
    app.add_exception_handler(ToccataError, _toccata_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(BodyLimits)
    app.add_middleware(RateLimits)
    app.add_middleware(PublicHost, settings=settings)
    app.add_middleware(RequestGuard, settings=settings)
    app.add_middleware(PathPrefix, settings=settings)
    app.add_middleware(RequestLog)
    app.state.stop = lambda: None  # Program sets it
    complete_openapi(app, DOCUMENTED)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_html(app.openapi()))

    if settings.page:
        from toccata.server.ui.page import mount

        mount(
            app,
            lambda: cast(AppState, app.state.parts),
            _page_files(settings),
            bool(settings.tokens),
        )
    return app


def _page_files(settings: ServerSettings) -> PageFiles:
    return PageFiles.of(settings.data_dir, settings.retention_s)


def check_start(settings: ServerSettings) -> None:
    """Check the models, the data folder, the database and the storage before the start.

    Args:
        settings: The settings of the server.

    Raises:
        ToccataError: The server could not start.
    """
    for name in settings.models:
        find_folder(name, offline=True)
    for lora in settings.machine.lora:
        existing(parse(lora)[0])
    with (
        only_server(settings.data_dir) as identity,
        closing(Repository(settings.database_url)) as store,
    ):
        store.check_claim(identity)
        store.page(1)
        BlobStorage(settings.storage_url)


def _lifespan(settings: ServerSettings, work: Work | None):  # type: ignore[no-untyped-def]
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with only_server(settings.data_dir) as identity:
            files = _page_files(settings)
            files.clear()
            async with running(app, settings, work, identity), background_task(tidy_page(files)):
                yield

    return lifespan


@asynccontextmanager
async def running(
    app: FastAPI, settings: ServerSettings, work: Work | None, identity: str
) -> AsyncIterator[None]:
    """Start everything behind the routes, and stop it after the block. Raises ToccataError."""
    blocking = Repository(settings.database_url)
    try:
        claim = blocking.claim(identity)
    except ToccataError:
        blocking.close()
        raise
    store = AsyncRepository(blocking)
    storage = AsyncBlobStorage(BlobStorage(settings.storage_url))
    outbound = OutboundClient(OutboundPolicy(allow_private=settings.allow_private))
    trusted = OutboundClient(OutboundPolicy(allow_private=True))
    secret = blocking.own("webhook_secret", new_secret)
    quota = _upload_quota(settings, blocking)
    uploads = KeptFiles(store, storage, quota, settings.data_dir / "incoming")
    uploads.clear()
    webhooks = WebhookPublisher(settings, outbound.post, secret, store)
    metrics = Metrics(CollectorRegistry())

    def on_change(prediction: Prediction, event: str, data: Output | None) -> None:
        metrics.count(prediction, event)
        webhooks.publish(prediction, event, data)

    predictions = Predictions(
        settings,
        store,
        storage,
        fetch=outbound.fetch,
        on_change=on_change,
        uploads=uploads,
        undelivered=webhooks.undelivered,
        deliver=CogOutputs(outbound.put, trusted.put, settings.upload_url).deliver,
        work=work,
    )
    metrics.watch(predictions)

    def on_superseded() -> None:
        predictions.give_up()
        app.state.stop()

    health = Health(store, storage, settings.data_dir, on_superseded)
    tokens = Tokens(settings.tokens)
    state = AppState(settings, store, storage, predictions, health, tokens, secret, uploads)
    app.state.parts, app.state.registry = state, metrics.registry
    undelivered = blocking.undelivered()  # before further predictions end
    await predictions.start(claim.crashed)
    retention = background_task(keep_tidy(settings, blocking, storage.blocking, quota))
    pending = publish_pending(undelivered, storage, webhooks.publish)
    try:
        async with retention, background_task(health.watch()), background_task(pending):
            yield
    finally:
        await predictions.stop(settings.drain_s)
        await webhooks.drain()
        await uploads.end()
        await _release(store)
        for component in (state, store, storage):
            component.close()


def _upload_quota(settings: ServerSettings, store: Repository) -> UploadQuota:
    """Make the quota with the uploads that are stored already. Raises RepositoryError."""
    quota = UploadQuota(settings.upload_bytes, settings.upload_bytes_per_token)
    quota.load(store.files(MAX_COUNTED_UPLOADS), store.upload_owners())
    return quota


async def _release(store: AsyncRepository) -> None:
    """Release the lease, so that the next server need not wait until it expires."""
    try:
        await store.release()
    except RepositoryError as error:
        log.error("the lease of the database was not released: %s", error)


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)  # noqa: S101 - the type that it is registered for
    return error.response()


async def _cog_refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, CogRefusal)  # noqa: S101
    return JSONResponse(error.body, error.status)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidRequest)  # noqa: S101
    return JSONResponse(error.to_problem(), 422, media_type="application/problem+json")


async def _toccata_error(_: Request, error: Exception) -> Response:
    status = getattr(error, "http_status", 500)
    body = dict(problem(status, str(error)))
    headers = {"x-should-retry": "false"} if status >= 500 else {}
    if status == 503:  # the database or the storage may be back soon
        headers = {"x-should-retry": "true", "Retry-After": RETRY_AFTER_S}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    detail = error.detail or HTTPStatus(error.status_code).phrase
    return ProblemError(error.status_code, dict(problem(error.status_code, detail))).response()
