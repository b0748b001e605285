"""Large responses (data URIs, pages of lists), encoded in threads, a few at a time.

Such an answer may be megabytes long. It is sent in blocks, so that a client which does not read it
keeps little in the buffer of its connection, and is given up if it reads nothing for a while.
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
from toccata.server.concurrency import ConcurrencyLimit
from toccata.server.predictions.events import told_again
from toccata.server.storage.repository import Prediction, StoredFile
from toccata.server.strict_json import JSONResponse
from toccata.server.views import Output, page_json, prediction_json, problem

log = logging.getLogger(__name__)

BLOCK_BYTES = 2**16
# How long a client may read nothing of an answer; of audio, which may be paused, more.
UNREAD_S = 60.0
# How long an answer waits for others to be read.
TURN_S = 10.0
# After that much of a list, the rest is on the next page.
MAX_PAGE_BYTES = 4 * 2**20

Row = TypeVar("Row", Prediction, StoredFile)

# A prediction, and its output as data URIs if it is given so -> what the client gets.
Show = Callable[[Prediction, Output | None], dict[str, Any]]


def answered(
    request: Request,
    prediction: Prediction,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    show: Show | None = None,
) -> Response:
    """A prediction as JSON, its output as the client takes it.

    Args:
        request: What is answered.
        prediction: What is shown.
        status: Of the answer.
        headers: Of the answer, besides those that every one has.
        show: How it is shown; None: as the hosted API shows it.
    """
    own = address(request)

    def whole(data: Output | None) -> JSONResponse:
        body = prediction_json(prediction, own, data) if show is None else show(prediction, data)
        return JSONResponse(body, status, headers)

    def in_blocks(data: Output | None) -> Response:
        made = whole(data)
        return _Stream(_once(bytes(made.body)), status, headers=made.headers)

    return _with_data(request, prediction, in_blocks) if prediction.has_data else whole(None)


def event_stream(request: Request, prediction: Prediction) -> Response:
    """The events of a prediction, from the beginning or after Last-Event-ID."""
    after = request.headers.get("last-event-id")
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

    def sent(frames: AsyncIterator[bytes]) -> Response:
        return _Stream(frames, headers=headers, media_type="text/event-stream")

    events = app_state(request).predictions.events(prediction)
    if events is not None:
        return sent(events.frames(after))

    def replayed(data: Output | None) -> Response:
        events = told_again(prediction, data)
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
    """A page of a list, the address of the next one in it.

    Args:
        request: What is answered.
        path: Of the list.
        read: Reads up to one row more than `limit`.
        show: What the client gets of a row.
        limit: How many rows a page has; fewer if they are long.
    """
    url = f"{address(request).base}{path}"

    async def made() -> Response:
        rows = await read()
        encode = partial(_page, rows, show, limit, url)
        body = await app_state(request).encoding.run(owner_of(request), encode)
        headers = {**JSONResponse(None).headers, "content-length": str(len(body))}
        return _Stream(_once(body), headers=headers)

    return _OneOfFew(request, app_state(request).pages, made)


def _page(
    rows: Sequence[Row], show: Callable[[Row], Mapping[str, Any]], limit: int, url: str
) -> bytes:
    """Each row is encoded by itself, so that other threads get their turn in between."""
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
    """What `make` makes, in a thread, from the output as data URIs."""

    async def made() -> Response:
        data = await data_of(request, prediction)
        return await app_state(request).encoding.run(owner_of(request), lambda: make(data))

    return _OneOfFew(request, app_state(request).large_answers, made)


class _OneOfFew(Response):
    """An answer that is made when its turn comes."""

    def __init__(
        self, request: Request, limit: ConcurrencyLimit, make: Callable[[], Awaitable[Response]]
    ) -> None:
        super().__init__()
        self._request, self._limit, self._make = request, limit, make

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with _turn(self._limit, owner_of(self._request)):
            response = await self._make()
            await response(scope, receive, send)


class _Stream(StreamingResponse):
    """A stream whose pieces may be large: they are sent in blocks, each when there is room."""

    def __init__(self, pieces: AsyncIterator[bytes], status: int = 200, **options: Any) -> None:
        super().__init__(_blocks(pieces), status, **options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with _patience(send) as sent:
            await super().__call__(scope, receive, sent)


class _UnreadError(Exception):
    """A client reads nothing of its answer."""


@asynccontextmanager
async def _patience(send: Send) -> AsyncIterator[Send]:
    """A `send` that ends the block once it could send nothing for UNREAD_S."""

    async def sent(message: Message) -> None:
        try:
            async with asyncio.timeout(UNREAD_S):
                await send(message)
        except TimeoutError as error:
            raise _UnreadError from error

    try:
        yield sent
    except _UnreadError:
        log.info("an answer of which nothing was read for %g s is given up", UNREAD_S)


@asynccontextmanager
async def _turn(limit: ConcurrencyLimit, owner: str) -> AsyncIterator[None]:
    """Count an answer among those that are large. Raises ProblemError if there are too many."""
    turn = limit.of(owner)
    try:
        async with asyncio.timeout(TURN_S):
            await turn.__aenter__()
    except TimeoutError as error:
        detail = "The server is busy with other large answers; try again in a few seconds"
        headers = {"Retry-After": "5", "x-should-retry": "true"}
        raise ProblemError(503, dict(problem(503, detail)), **headers) from error
    try:
        yield
    finally:
        await turn.__aexit__(None, None, None)


async def _blocks(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for piece in pieces:
        for start in range(0, len(piece), BLOCK_BYTES):
            yield piece[start : start + BLOCK_BYTES]


async def _once(piece: bytes) -> AsyncIterator[bytes]:
    yield piece
