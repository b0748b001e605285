"""Outputs as data URIs: read and encoded beside the event loop, because they may be large."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from toccata.server.storage import Storage
from toccata.server.store import Prediction
from toccata.server.views import Output, content_type, one_or_all

log = logging.getLogger(__name__)


async def output_data(prediction: Prediction, storage: Storage) -> Output | None:
    """Its output as data URIs; None if it has none, or if it is given by its address."""
    names = prediction.outputs
    if not names or not prediction.as_data or prediction.delivered is not None:
        return None
    try:
        return await asyncio.to_thread(
            lambda: one_or_all([_data_uri(name, storage.read(name)) for name in names])
        )
    except OSError as error:
        log.error("the output of %s cannot be read: %s", prediction.id, error)
        return None


async def file_data(files: Sequence[Path]) -> Output:
    """Local files as data URIs. Raises OSError."""
    return await asyncio.to_thread(
        lambda: one_or_all([_data_uri(file.name, file.read_bytes()) for file in files])
    )


def keep_all(storage: Storage, made: Mapping[str, Path]) -> None:
    """Local files under the names they are to have: all of them, or none. Raises OSError."""
    try:
        for name, file in made.items():
            storage.put(name, file)
    except OSError:
        with suppress(OSError):
            remove_all(storage, made)
        raise


def remove_all(storage: Storage, names: Iterable[str]) -> None:
    for name in names:
        storage.remove(name)


def _data_uri(name: str, content: bytes) -> str:
    return f"data:{content_type(name)};base64,{base64.b64encode(content).decode()}"
