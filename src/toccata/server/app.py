"""The server put together: its parts, its routes, and what happens at start and stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from functools import partial
from http import HTTPStatus
from typing import cast

from fastapi import FastAPI, Request
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from toccata import __version__
from toccata.errors import InputError, ToccataError
from toccata.families.known import find_folder
from toccata.families.lora_names import existing, parse
from toccata.server import (
    routes_cog,
    routes_files,
    routes_models,
    routes_ops,
    routes_predictions,
)
from toccata.server.alone import only_server
from toccata.server.answers import Parts, ProblemError
from toccata.server.auth import Tokens
from toccata.server.beside import beside
from toccata.server.bodies import BodyLimits
from toccata.server.cog_outputs import CogOutputs
from toccata.server.cog_requests import CogRefusal
from toccata.server.config import ServerSettings
from toccata.server.docs_page import docs_html
from toccata.server.guard import Guard
from toccata.server.housekeeping import keep_tidy
from toccata.server.json_text import JSONResponse
from toccata.server.metrics import Metrics
from toccata.server.middleware import RateLimits, RequestLog
from toccata.server.openapi import describe
from toccata.server.outside import Outside, OutsidePolicy
from toccata.server.owed import paid, tell_all
from toccata.server.page_files import PageFiles
from toccata.server.page_files import keep_tidy as tidy_page
from toccata.server.predictions import Predictions
from toccata.server.quota import UploadQuota
from toccata.server.storage import Storage
from toccata.server.store import COG, Prediction, Store, StoreError
from toccata.server.supervisor import Work
from toccata.server.trusted_prefix import PathPrefix, PublicHost
from toccata.server.validation import InvalidRequest
from toccata.server.views import Address, Output, prediction_json, problem
from toccata.server.webhooks import Hook, Post, Webhooks, new_secret

log = logging.getLogger(__name__)

# Clients put some base addresses and some paths together with the prefix twice.
PREFIXES = ("/v1", "/v1/v1")
WEBHOOK_DRAIN_S = 5.0
DATABASE_RETRY_S = "5"
# Before a Cog container tells the end of a prediction again.
COG_AGENT = f"cog-worker/{routes_cog.COG_VERSION}"
COG_RETRIES_S = tuple(0.1 * 2**n for n in range(12))


def create_app(settings: ServerSettings, work: Work | None = None) -> FastAPI:
    """The whole server; `work` replaces the worker process's main function."""
    app = FastAPI(
        title="toccata",
        version=__version__,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(settings, work),
    )
    for prefix in PREFIXES:
        for routes in (routes_predictions.api, routes_models.api, routes_files.api):
            app.include_router(routes, prefix=prefix, include_in_schema=prefix == "/v1")
    app.include_router(routes_predictions.open_api)
    app.include_router(routes_ops.ops)
    app.include_router(routes_cog.api)
    app.include_router(routes_cog.open_api)
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(CogRefusal, _cog_refusal)
    app.add_exception_handler(InvalidRequest, _invalid)
    app.add_exception_handler(ToccataError, _refused)
    app.add_exception_handler(HTTPException, _plain)
    app.add_middleware(BodyLimits)
    app.add_middleware(RateLimits)
    app.add_middleware(PublicHost, settings=settings)
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(PathPrefix, settings=settings)
    app.add_middleware(RequestLog)
    describe(app)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_html(app.openapi()))

    if settings.page:
        from toccata.server.page import mount

        mount(
            app, lambda: cast(Parts, app.state.parts), _page_files(settings), bool(settings.tokens)
        )
    return app


def _check_storage(settings: ServerSettings) -> None:
    try:
        Storage(_storage_url(settings))
    except (ImportError, OSError, ValueError) as error:
        cure = f"it must be a folder or an fsspec URL that can be reached ({error})"
        raise InputError("storage", settings.storage, cure) from error


def _storage_url(settings: ServerSettings) -> str:
    return settings.storage or str(settings.data_dir / "files")


def _page_files(settings: ServerSettings) -> PageFiles:
    return PageFiles.of(settings.data_dir, settings.retention_s)


def check_start(settings: ServerSettings) -> None:
    """Raises ToccataError for what would keep the server from starting."""
    for name in settings.models:
        find_folder(name, offline=True)
    for lora in settings.machine.lora:
        existing(parse(lora)[0])
    _check_storage(settings)
    with only_server(settings.data_dir), closing(Store(settings.database_url)) as store:
        store.claim()


def _lifespan(settings: ServerSettings, work: Work | None):  # type: ignore[no-untyped-def]
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with only_server(settings.data_dir):
            files = _page_files(settings)
            files.clear()
            async with running(app, settings, work), beside(tidy_page(files)):
                yield

    return lifespan


@asynccontextmanager
async def running(app: FastAPI, settings: ServerSettings, work: Work | None) -> AsyncIterator[None]:
    """Everything behind the routes, from start to stop."""
    store = Store(settings.database_url)
    store.claim()
    storage = Storage(_storage_url(settings))
    outside = Outside(OutsidePolicy(allow_private=settings.allow_private))
    trusted = Outside(OutsidePolicy(allow_private=True))
    secret = store.own("webhook_secret", new_secret)
    on_told = partial(paid, store)
    webhooks = Webhooks(outside.post, secret, on_told=on_told)
    cog_webhooks = Webhooks(
        _as_cog(outside.post),
        None,
        bearer=settings.cog_webhook_token,
        retry_delays_s=COG_RETRIES_S,
        on_told=on_told,
    )
    metrics = Metrics(CollectorRegistry())

    def on_change(prediction: Prediction, event: str, data: Output | None) -> None:
        metrics.count(prediction, event)
        tell(prediction, event, data)

    def tell(prediction: Prediction, event: str, data: Output | None) -> None:
        if prediction.api == COG:
            _tell_cog(cog_webhooks, prediction, event, data)
        else:
            _tell(webhooks, prediction, event, data)

    predictions = Predictions(
        settings,
        store,
        storage,
        fetch=outside.fetch,
        on_change=on_change,
        deliver=CogOutputs(outside.put, trusted.put, settings.upload_url).deliver,
        work=work,
    )
    metrics.watch(predictions)
    tokens = Tokens(settings.tokens)
    quota = UploadQuota(settings.upload_bytes, settings.upload_bytes_per_token)
    app.state.parts = Parts(settings, store, storage, predictions, tokens, secret, quota)
    app.state.repeats = routes_predictions.Repeats()
    app.state.registry = metrics.registry
    owing = store.owing()  # before anything else ends
    predictions.start()
    tidying = beside(keep_tidy(settings, store, storage))
    owed = beside(tell_all(owing, storage, lambda one, data: tell(one, "completed", data)))
    try:
        async with tidying, owed:
            yield
    finally:
        await predictions.stop(settings.drain_s)
        await asyncio.gather(*(one.drain(WEBHOOK_DRAIN_S) for one in (webhooks, cog_webhooks)))
        await outside.close()
        await trusted.close()
        store.close()


def _as_cog(post: Post) -> Post:
    """`post` with the User-Agent of a Cog container."""

    async def posted(url: str, body: bytes, headers: Mapping[str, str]) -> int:
        return await post(url, body, {**headers, "User-Agent": COG_AGENT})

    return posted


def _tell(webhooks: Webhooks, prediction: Prediction, event: str, data: Output | None) -> None:
    """Send webhooks of an event; the end is an output too, if there is one."""
    if prediction.webhook is None:
        return
    hook = Hook(prediction.webhook, frozenset(prediction.webhook_events))
    body = prediction_json(prediction, Address(prediction.base), data)
    if event == "completed" and prediction.output is not None:
        webhooks.notify(prediction.id, hook, "output", body)
    webhooks.notify(prediction.id, hook, event, body)


def _tell_cog(webhooks: Webhooks, prediction: Prediction, event: str, data: Output | None) -> None:
    """Send the webhook of an event; a single output is none."""
    if prediction.webhook is not None:
        hook = Hook(prediction.webhook, frozenset(prediction.webhook_events))
        webhooks.notify(prediction.id, hook, event, routes_cog.cog_json(prediction, data))


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)  # noqa: S101 - what it is registered for
    return error.response()


async def _cog_refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, CogRefusal)  # noqa: S101
    return JSONResponse(error.body, error.status)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidRequest)  # noqa: S101
    return JSONResponse(error.to_problem(), 422, media_type="application/problem+json")


async def _refused(_: Request, error: Exception) -> Response:
    status = getattr(error, "http_status", 500)
    body = dict(problem(status, str(error)))
    headers = {"x-should-retry": "false"} if status >= 500 else {}
    if isinstance(error, StoreError):  # the database may be back soon
        headers = {"x-should-retry": "true", "Retry-After": DATABASE_RETRY_S}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


async def _plain(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    detail = error.detail or HTTPStatus(error.status_code).phrase
    return ProblemError(error.status_code, dict(problem(error.status_code, detail))).response()
