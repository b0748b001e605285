"""Large responses (data URIs, pages of lists), encoded in threads, a few at a time.

Such a response may be megabytes long. It is sent in blocks, so that the connection of a client
which does not read it buffers little, and it is aborted if the client reads nothing for a while.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from fastapi import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from toccata.server.api.cursors import cursor_to
from toccata.server.api.dependencies import ProblemError, address, app_state, data_of, owner_of
from toccata.server.api.listeners import ListenerResponse
from toccata.server.concurrency import ConcurrencyLimit
from toccata.server.predictions.events import ended_events
from toccata.server.storage.repository import Prediction, StoredFile
from toccata.server.strict_json import JSONResponse
from toccata.server.views import Output, page_json, prediction_json, problem

log = logging.getLogger(__name__)

BLOCK_BYTES = 2**16
# How long a client may read nothing of a response. Audio, which a player may pause, has more time.
SEND_TIMEOUT_S = 60.0
# How long a response waits until fewer others are being sent.
SLOT_TIMEOUT_S = 10.0
# A page that is longer ends, and the rest of the list is on the next one.
MAX_PAGE_BYTES = 4 * 2**20

Row = TypeVar("Row", Prediction, StoredFile)

# A prediction, and its output as data URIs where URLs are not used -> the JSON object.
Show = Callable[[Prediction, Output | None], dict[str, Any]]


def answered(
    request: Request,
    prediction: Prediction,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    show: Show | None = None,
) -> Response:
    """A response that shows a prediction as JSON, its output as URLs or data URIs.

    Args:
        request: The request that is answered.
        prediction: The prediction to show.
        status: The status code of the response.
        headers: Further headers of the response.
        show: Makes the JSON object; None: as in the hosted API.
    """
    own = address(request)

    def whole(data: Output | None) -> JSONResponse:
        body = prediction_json(prediction, own, data) if show is None else show(prediction, data)
        return JSONResponse(body, status, headers)

    def in_blocks(data: Output | None) -> Response:
        response = whole(data)
        return _Stream(_once(bytes(response.body)), status, headers=response.headers)

    return _with_data(request, prediction, in_blocks) if prediction.has_data else whole(None)


def event_stream(request: Request, prediction: Prediction, after: str | None) -> Response:
    """The events of a prediction: all, or those after the event with the id `after`."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

    def sent(frames: AsyncIterator[bytes]) -> Response:
        return _Stream(frames, headers=headers, media_type="text/event-stream")

    events = app_state(request).predictions.events(prediction)
    if events is not None:

        async def live() -> Response:
            return sent(events.frames(after))

        return ListenerResponse(request, live)

    def replayed(data: Output | None) -> Response:
        events = ended_events(prediction, data)
        events.encode()
        return sent(events.frames(after))

    return _with_data(request, prediction, replayed)


def page_of(
    request: Request,
    path: str,
    read: Callable[[], Awaitable[Sequence[Row]]],
    show: Callable[[Row], Mapping[str, Any]],
    limit: int,
) -> Response:
    """A response that is a page of a list, with the URL of the next page.

    Args:
        request: The request that is answered.
        path: The path of the list.
        read: Reads up to one row more than `limit`.
        show: Makes the JSON object of a row.
        limit: How many rows a page has at most; it has fewer if they are long.
    """
    url = f"{address(request).base}{path}"

    async def make_response() -> Response:
        rows = await read()
        encode = partial(_page, rows, show, limit, url)
        body = await app_state(request).encoding.run(owner_of(request), encode)
        headers = {**JSONResponse(None).headers, "content-length": str(len(body))}
        return _Stream(_once(body), headers=headers)

    return _LimitedResponse(request, app_state(request).pages, make_response)


def _page(
    rows: Sequence[Row], show: Callable[[Row], Mapping[str, Any]], limit: int, url: str
) -> bytes:
    """Encode a page row by row, so that other threads can run in between."""
    encoded: list[bytes] = []
    for row in rows[:limit]:
        encoded.append(bytes(JSONResponse(show(row)).body))
        if sum(map(len, encoded)) > MAX_PAGE_BYTES:
            break
    is_last = len(encoded) == len(rows)
    following = None if is_last else f"{url}?cursor={cursor_to(rows[len(encoded) - 1])}"
    head = bytes(JSONResponse(page_json([], following)).body)
    return head.replace(b'"results":[]', b'"results":[' + b",".join(encoded) + b"]")


def _with_data(
    request: Request, prediction: Prediction, make: Callable[[Output | None], Response]
) -> Response:
    """The response that `make` builds, in a thread, from the output as data URIs."""

    async def make_response() -> Response:
        data = await data_of(request, prediction)
        return await app_state(request).encoding.run(owner_of(request), lambda: make(data))

    return _LimitedResponse(request, app_state(request).large_answers, make_response)


class _LimitedResponse(Response):
    """A response that is built once few enough others are being sent."""

    def __init__(
        self, request: Request, limit: ConcurrencyLimit, make: Callable[[], Awaitable[Response]]
    ) -> None:
        super().__init__()
        self._request, self._limit, self._make = request, limit, make

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with _slot(self._limit, owner_of(self._request)):
            response = await self._make()
            await response(scope, receive, send)


class _Stream(StreamingResponse):
    """A streaming response whose parts may be large: they are sent in blocks."""

    def __init__(self, pieces: AsyncIterator[bytes], status: int = 200, **options: Any) -> None:
        super().__init__(_blocks(pieces), status, **options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with _send_timeout(send) as send_in_time:
            await super().__call__(scope, receive, send_in_time)


class _SendTimeoutError(Exception):
    """A client reads nothing of its response."""


@asynccontextmanager
async def _send_timeout(send: Send) -> AsyncIterator[Send]:
    """A `send` that ends the block if it cannot send for SEND_TIMEOUT_S."""

    async def send_in_time(message: Message) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await send(message)
        except TimeoutError as error:
            raise _SendTimeoutError from error

    try:
        yield send_in_time
    except _SendTimeoutError:
        log.info("a response of which the client read nothing for %g s is aborted", SEND_TIMEOUT_S)


@asynccontextmanager
async def _slot(limit: ConcurrencyLimit, owner: str) -> AsyncIterator[None]:
    """Wait for a slot of `limit`. Raises ProblemError if none is free in time."""
    slot = limit.of(owner)
    try:
        async with asyncio.timeout(SLOT_TIMEOUT_S):
            await slot.__aenter__()
    except TimeoutError as error:
        detail = "The server is busy with other large responses; try again in a few seconds"
        headers = {"Retry-After": "5", "x-should-retry": "true"}
        raise ProblemError(503, dict(problem(503, detail)), **headers) from error
    try:
        yield
    finally:
        await slot.__aexit__(None, None, None)


async def _blocks(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for piece in pieces:
        for start in range(0, len(piece), BLOCK_BYTES):
            yield piece[start : start + BLOCK_BYTES]


async def _once(piece: bytes) -> AsyncIterator[bytes]:
    yield piece
