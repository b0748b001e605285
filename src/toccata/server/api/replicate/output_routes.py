"""Routes of the events, the live audio and the finished files of a prediction.

They need no token: the key in each address cannot be guessed.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from toccata.server.api.body_limits import client_of
from toccata.server.api.byte_ranges import first_bytes, probe_of, saved_name
from toccata.server.api.dependencies import app_state, refuse, stored_response
from toccata.server.api.large_answers import event_stream
from toccata.server.api.listeners import ListenerResponse
from toccata.server.api.openapi import files, problems, ref
from toccata.server.api.parameters import (
    AudioFormat,
    ByteRange,
    FileName,
    Key,
    LastEventId,
    Variation,
)
from toccata.server.api.replicate import schemas
from toccata.server.storage.repository import Prediction
from toccata.server.views import AUDIO_TYPES, content_type
from toccata.server.worker import live_audio

router = APIRouter()


@router.get(
    "/v1/files/{key}/stream",
    summary="Stream the events of a prediction (server-sent events).",
    response_class=Response,
    response_description="The events.",
    responses={
        200: {"content": {"text/event-stream": {"schema": ref(schemas.Event)}}},
        **problems(404),
    },
)
async def stream(request: Request, key: Key, last_event_id: LastEventId = None) -> Response:
    """The events are sent from the first one on, and as they happen."""
    prediction = await _by_key(request, key)
    if prediction is None:
        raise refuse(404, "There is no such stream")
    return event_stream(request, prediction, last_event_id)


@router.head("/outputs/{key}/audio", include_in_schema=False)
@router.get(
    "/outputs/{key}/audio",
    summary="Stream the audio of a prediction while it is generated.",
    response_class=Response,
    response_description="The audio.",
    responses={**files(*AUDIO_TYPES.values()), **problems(404)},
)
async def audio(
    request: Request,
    key: Key,
    form: AudioFormat = "mp3",
    variation: Variation = 1,
    byte_range: ByteRange = None,
) -> Response:
    """Once the prediction has succeeded, this is the finished file, in the format of the request
    for the prediction.
    """
    predictions = app_state(request).predictions
    prediction = await _by_key(request, key)
    if (
        prediction is None
        or form not in live_audio.FORMATS
        or not 0 < variation <= prediction.count
    ):
        raise refuse(404, "There is no such audio")
    if prediction.outputs:
        return await _stored(request, prediction, prediction.outputs[variation - 1], byte_range)
    if prediction.ended:
        raise refuse(404, "It was not finished")
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Accept-Ranges": "bytes"}
    kind, probe = content_type(f"live.{form}"), probe_of(byte_range)
    if request.method == "HEAD":
        return Response(None, 200, headers, kind)

    async def live() -> Response:
        client = client_of(request.scope)
        bytes_so_far = predictions.listen(prediction, form, variation, client=client)
        if probe is None:
            return StreamingResponse(bytes_so_far, 200, headers, kind)
        start, end = probe  # players that begin so accept only 206
        part = (await first_bytes(bytes_so_far, end))[start:]
        headers["Content-Range"] = f"bytes {start}-{start + len(part) - 1}/*"
        return Response(part, 206, headers, kind) if part else Response(status_code=416)

    return ListenerResponse(request, live)


@router.head("/outputs/{key}/{name}", include_in_schema=False)
@router.get(
    "/outputs/{key}/{name}",
    summary="Download a finished file.",
    response_class=Response,
    response_description="The file.",
    responses={**files(*AUDIO_TYPES.values()), **problems(404)},
)
async def output(
    request: Request, key: Key, name: FileName, byte_range: ByteRange = None
) -> Response:
    prediction = await app_state(request).store.by_key(key)
    stored = f"outputs/{key}/{name}"
    if prediction is None or stored not in prediction.outputs:
        raise refuse(404, "File not found")
    return await _stored(request, prediction, stored, byte_range)


async def _stored(
    request: Request, prediction: Prediction, name: str, byte_range: str | None
) -> Response:
    """Send an output, with a file name that is made of its prompt and seed."""
    seed = prediction.seed + list(prediction.outputs).index(name)
    prompt, suffix = prediction.input.get("prompt"), name.rpartition(".")[2]
    saved_as = saved_name(prompt, prediction.model, seed, suffix)
    return await stored_response(
        request, name, byte_range, saved_as=saved_as, modified_at=prediction.completed_at
    )


async def _by_key(request: Request, key: str) -> Prediction | None:
    """Find a prediction by its key. Unless it has ended, its event log exists."""
    store, predictions = app_state(request).store, app_state(request).predictions
    found = await store.by_key(key)
    if found is None or found.ended or predictions.events(found) is not None:
        return found
    return await store.by_key(key)  # it has ended meanwhile
