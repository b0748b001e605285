"""Read outputs and encode them as data URIs, in threads."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from toccata.server.concurrency import BlockingCalls
from toccata.server.storage.blobs import AsyncBlobStorage, BlobStorage, StorageError
from toccata.server.storage.repository import Prediction
from toccata.server.views import Output, content_type, one_or_all

log = logging.getLogger(__name__)

# Larger outputs of a prediction are given by their addresses: every answer, webhook and event with
# a data URI holds it whole. It is 40 s of stereo at 32 kHz.
MAX_DATA_BYTES = 5 * 2**20


async def output_data(prediction: Prediction, storage: AsyncBlobStorage) -> Output | None:
    """Its output as data URIs; None if it has none, or if it is given by its address.

    Raises StorageError.
    """
    names = prediction.outputs
    if not prediction.has_data:
        return None

    def read(storage: BlobStorage) -> Output | None:
        if sum(storage.size(name) for name in names) > MAX_DATA_BYTES:
            return None
        return _data_uris(names, [storage.read(name) for name in names])

    try:
        return await storage.run(read)
    except FileNotFoundError:
        log.error("the output of %s is gone", prediction.id)
        return None


async def file_data(files: Sequence[Path], local: BlockingCalls) -> Output | None:
    """Local files as data URIs; None if they are too large.

    Args:
        files: What is read.
        local: Where blocking calls for local files run.

    Raises:
        OSError: A file cannot be read.
        StorageError: The disk does not answer.
    """

    def read() -> Output | None:
        if sum(file.stat().st_size for file in files) > MAX_DATA_BYTES:
            return None
        return _data_uris([file.name for file in files], [file.read_bytes() for file in files])

    return await local.run(read)


async def keep_all(storage: AsyncBlobStorage, made: Mapping[str, Path]) -> None:
    """Local files under the names they are to have: all of them, or none.

    Raises StorageError, and OSError if a local file cannot be read.
    """
    try:
        for name, file in made.items():
            await storage.put(name, file)
    except (StorageError, OSError):
        with suppress(StorageError):
            await remove_all(storage, made)
        raise


async def remove_all(storage: AsyncBlobStorage, names: Iterable[str]) -> None:
    for name in names:
        await storage.remove(name)


def _data_uris(names: Sequence[str], contents: Sequence[bytes]) -> Output:
    uris = [
        f"data:{content_type(name)};base64,{base64.b64encode(content).decode()}"
        for name, content in zip(names, contents, strict=True)
    ]
    return one_or_all(uris)
