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

# Larger outputs are returned as URLs: every response, webhook and event with a data URI holds the
# whole of it. The limit is 40 s of stereo at 32 kHz.
MAX_DATA_BYTES = 5 * 2**20


async def output_data(prediction: Prediction, storage: AsyncBlobStorage) -> Output | None:
    """Read the output of a prediction as data URIs.

    Args:
        prediction: The prediction.
        storage: The storage of outputs.

    Returns:
        The data URIs; None if it has no output, or if its URLs are used.

    Raises:
        StorageError: The storage does not answer.
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
        log.error("the output of %s does not exist any more", prediction.id)
        return None


async def file_data(files: Sequence[Path], local: BlockingCalls) -> Output | None:
    """Read local files as data URIs; None if they are larger than MAX_DATA_BYTES.

    Args:
        files: The files.
        local: The threads for local files.

    Raises:
        OSError: A file cannot be read.
        StorageError: The disk does not answer.
    """

    def read() -> Output | None:
        if sum(file.stat().st_size for file in files) > MAX_DATA_BYTES:
            return None
        return _data_uris([file.name for file in files], [file.read_bytes() for file in files])

    return await local.run(read)


async def put_all(storage: AsyncBlobStorage, files: Mapping[str, Path]) -> None:
    """Store local files by name: all of them, or none.

    Raises:
        StorageError: The storage does not answer.
        OSError: A local file cannot be read.
    """
    try:
        for name, file in files.items():
            await storage.put(name, file)
    except (StorageError, OSError):
        with suppress(StorageError):
            await remove_all(storage, files)
        raise


async def remove_all(storage: AsyncBlobStorage, names: Iterable[str]) -> None:
    """Remove files by name; one that does not exist is ignored. Raises StorageError."""
    for name in names:
        await storage.remove(name)


def _data_uris(names: Sequence[str], contents: Sequence[bytes]) -> Output:
    uris = [
        f"data:{content_type(name)};base64,{base64.b64encode(content).decode()}"
        for name, content in zip(names, contents, strict=True)
    ]
    return one_or_all(uris)
