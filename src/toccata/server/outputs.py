"""Outputs as data URIs: read and encoded beside the event loop, because they may be large."""

from __future__ import annotations

import asyncio
import base64
import logging
from pathlib import Path

from toccata.server.storage import Storage
from toccata.server.store import Prediction
from toccata.server.views import content_type

log = logging.getLogger(__name__)


async def output_data(prediction: Prediction, storage: Storage) -> str | None:
    """Its output as a data URI; None if it has none, or if it is given by its address."""
    name = prediction.output
    if name is None or not prediction.as_data or prediction.delivered is not None:
        return None
    try:
        return await asyncio.to_thread(lambda: _data_uri(name, storage.read(name)))
    except OSError as error:
        log.error("the output of %s cannot be read: %s", prediction.id, error)
        return None


async def file_data(file: Path) -> str:
    """A local file as a data URI. Raises OSError."""
    return await asyncio.to_thread(lambda: _data_uri(file.name, file.read_bytes()))


def _data_uri(name: str, content: bytes) -> str:
    return f"data:{content_type(name)};base64,{base64.b64encode(content).decode()}"
