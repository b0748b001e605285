"""What the routes share: the state of the app, authorization, errors, file responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, TypeVar, cast

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection
from starlette.responses import Response, StreamingResponse

from toccata.server.api.auth import MISSING, OWNER, Tokens, owner_named, token_of
from toccata.server.api.body_limits import client_of
from toccata.server.api.byte_ranges import Validators, disposition, span_of
from toccata.server.api.path_prefix import PREFIX
from toccata.server.concurrency import ConcurrencyLimit, FairThreads, Shares, set_client
from toccata.server.config import ServerSettings
from toccata.server.predictions.kept_files import KeptFiles
from toccata.server.predictions.lifecycle import Predictions
from toccata.server.predictions.outputs import output_data
from toccata.server.storage.async_repository import AsyncRepository
from toccata.server.storage.blobs import AsyncBlobStorage, StorageError
from toccata.server.storage.readiness import Health
from toccata.server.storage.repository import Prediction
from toccata.server.strict_json import JsonError, JSONResponse, read_json
from toccata.server.views import Address, Output, content_type, problem

# For reads before a response begins, while the client waits.
READ_TIMEOUT_S = 10.0
LONG_BODY_BYTES = 2**18
# Responses with outputs as data URIs that are being sent; each is about MAX_DATA_BYTES long.
MAX_LARGE_ANSWERS = 32
MAX_LARGE_ANSWERS_PER_OWNER = 8
# Pages of lists that are being sent.
MAX_PAGES = 32
MAX_PAGES_PER_OWNER = 8
# Forms that are being read; of one client, half of them. Their fields are held in memory.
MAX_FORMS = 256
# Responses with live audio or events that are on their way; of one client, half of them.
MAX_LISTENERS = 512

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class AppState:
    """The components of the server; routes get them by `app_state(request)`."""

    settings: ServerSettings
    store: AsyncRepository
    storage: AsyncBlobStorage
    predictions: Predictions
    health: Health
    tokens: Tokens
    webhook_secret: str
    uploads: KeptFiles
    large_answers: ConcurrencyLimit = field(
        default_factory=lambda: ConcurrencyLimit(MAX_LARGE_ANSWERS, MAX_LARGE_ANSWERS_PER_OWNER)
    )
    # One at a time: encoding megabytes holds the interpreter lock.
    encoding: FairThreads = field(default_factory=lambda: FairThreads("encoding", 1, 1))
    bodies: FairThreads = field(default_factory=lambda: FairThreads("bodies", 2, 1))
    pages: ConcurrencyLimit = field(
        default_factory=lambda: ConcurrencyLimit(MAX_PAGES, MAX_PAGES_PER_OWNER)
    )
    forms: Shares = field(default_factory=lambda: Shares(MAX_FORMS))
    listeners: Shares = field(default_factory=lambda: Shares(MAX_LISTENERS))

    def close(self) -> None:
        """End the threads."""
        self.encoding.close()
        self.bodies.close()


def app_state(request: Request) -> AppState:
    """Return the components of the server that has a request."""
    return cast(AppState, request.app.state.parts)


class ProblemError(Exception):
    """An error response.

    Args:
        status: The status code.
        body: The JSON body.
        headers: Further headers.
    """

    def __init__(self, status: int, body: dict[str, Any], **headers: str) -> None:
        super().__init__(body.get("detail"))
        self.status, self.body, self.headers = status, body, headers

    def response(self) -> Response:
        """Make the response."""
        return JSONResponse(
            self.body, self.status, headers=self.headers, media_type="application/problem+json"
        )


def refuse(status: int, detail: str, title: str | None = None) -> ProblemError:
    """Make the error to raise for a request that is refused."""
    return ProblemError(status, dict(problem(status, detail, title)))


# For the OpenAPI document only: `authorize` reads the header itself, with any scheme and spaces.
_BEARER = HTTPBearer(
    scheme_name="token", description="One of the tokens of the server.", auto_error=False
)


async def authorize(
    request: Request,
    _: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
) -> None:
    """Check the token of a request, and store its owner. Raises ProblemError for a wrong token."""
    authorization = request.headers.get("authorization")
    refusal = app_state(request).tokens.refusal(authorization)
    if refusal is not None:
        title = "Unauthenticated" if refusal == MISSING else None
        raise refuse(401, refusal, title)
    token = token_of(authorization)
    if app_state(request).settings.tokens and token is not None:
        request.scope[OWNER] = owner_named(token)
        set_client(owner_of(request))


def address(request: Request) -> Address:
    """Return the base URL of this server: the public one, or the one that the client used."""
    return address_at(request, app_state(request).settings)


def address_at(request: HTTPConnection, settings: ServerSettings) -> Address:
    """Return the base URL of this server, as `address`, from its settings."""
    public, url = settings.public_url, request.url
    if public:
        return Address(public.rstrip("/"))
    return Address(f"{url.scheme}://{url.netloc}{request.scope.get(PREFIX, '')}")


def owner_of(request: HTTPConnection) -> str:
    """Return the owner of a request: a hash of its token, or else of its IP address."""
    known: str | None = request.scope.get(OWNER)
    return known or owner_named(client_of(request.scope))


async def data_of(request: Request, prediction: Prediction) -> Output | None:
    """Read the output of a prediction as data URIs; None: URLs are used.

    Raises:
        StorageError: The storage cannot be read, or not in READ_TIMEOUT_S.
    """
    async with _read_timeout():
        return await output_data(prediction, app_state(request).storage)


@asynccontextmanager
async def _read_timeout() -> AsyncIterator[None]:
    """Raise StorageError if the block takes longer than READ_TIMEOUT_S."""
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            yield
    except TimeoutError as error:
        raise StorageError from error


async def of_body(request: Request, call: Callable[[bytes], T]) -> T:
    """Call a function with the body of a request, in a thread if the body is long.

    Args:
        request: The request.
        call: The function, which takes the body.

    Returns:
        The result of the function.

    Raises:
        Exception: The error of the function.
    """
    body = await request.body()
    if len(body) <= LONG_BODY_BYTES:
        return call(body)
    return await app_state(request).bodies.run(owner_of(request), partial(call, body))


async def json_body(request: Request) -> dict[str, Any]:
    """Parse the JSON object in the body. Raises ProblemError for anything else."""
    try:
        body = await of_body(request, read_json)
    except JsonError as error:
        raise refuse(400, f"The request body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise refuse(400, "The request body must be a JSON object")
    return body


async def stored_response(
    request: Request,
    name: str,
    byte_range: str | None,
    *,
    saved_as: str | None = None,
    modified_at: float | None = None,
    kind: str = "inline",
) -> Response:
    """Make a response that sends a file of the storage, the whole or a range of it.

    Args:
        request: GET or HEAD, with the validators of the version that the client has.
        name: The name of the file in the storage. Its bytes never change.
        byte_range: The Range header.
        saved_as: The file name that a browser proposes.
        modified_at: When the file was written, in seconds since 1970.
        kind: `inline`, or `attachment` if a browser must not show it.

    Raises:
        ProblemError: There is no such file.
        StorageError: The storage cannot be read, or not in READ_TIMEOUT_S.
    """
    try:
        async with _read_timeout():
            size = await app_state(request).storage.size(name)
    except FileNotFoundError as error:
        raise refuse(404, "File not found") from error
    validators = Validators.of(name, size, modified_at)
    headers = {"Accept-Ranges": "bytes", "Cache-Control": "private, max-age=31536000, immutable"}
    headers |= validators.headers()
    if validators.is_known(request.headers):
        return Response(status_code=304, headers=headers)
    if saved_as is not None or kind != "inline":
        headers["Content-Disposition"] = disposition(kind, saved_as or "download")
    requested = byte_range if validators.takes_range(request.headers) else None
    return _part(request, name, headers, span_of(requested, size), size)


def _part(
    request: Request, name: str, headers: dict[str, str], span: tuple[int, int] | None, size: int
) -> Response:
    start, end = span or (0, size)
    if span is not None and start >= end:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    if span is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    headers["Content-Length"] = str(end - start)
    status, kind = 200 if span is None else 206, content_type(name)
    if request.method == "HEAD":
        return Response(None, status, headers, kind)
    return StreamingResponse(
        app_state(request).storage.blocks(name, start, end), status, headers, kind
    )
