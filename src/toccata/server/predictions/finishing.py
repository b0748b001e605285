"""Store and deliver the outputs of a prediction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toccata.server.concurrency import BlockingCalls, set_client
from toccata.server.predictions.outputs import file_data, put_all, remove_all
from toccata.server.predictions.retries import with_retries
from toccata.server.storage.blobs import AsyncBlobStorage
from toccata.server.storage.repository import Prediction
from toccata.server.views import Output
from toccata.server.worker.protocol import Job

# A prediction and its output file -> the URL that it was uploaded to; None: the client gave none.
# Raises ToccataError if the upload fails.
Deliver = Callable[[Prediction, Path], Awaitable[str | None]]


@dataclass(frozen=True)
class StoredOutputs:
    """Outputs that are in the storage.

    Attributes:
        names: Their names in the storage.
        values: The fields of the prediction's row that name them.
        data: The outputs as data URIs; None: their URLs are used.
    """

    names: Sequence[str]
    values: Mapping[str, Any]
    data: Output | None


class Finishing:
    """Stores and delivers outputs; it retries while the storage is down, so that none is lost.

    Args:
        storage: The storage of outputs.
        local: The threads for local files.
        deliver: Uploads an output to the URL that the client gave.

    Attributes:
        storing: How many predictions have outputs that wait for the storage.
    """

    def __init__(self, storage: AsyncBlobStorage, local: BlockingCalls, deliver: Deliver) -> None:
        self._storage, self._local, self._deliver = storage, local, deliver
        self.storing = 0

    async def store(
        self, prediction: Prediction, job: Job | None, files: Sequence[Path], metrics: Any
    ) -> StoredOutputs:
        """Store the outputs of a prediction, and deliver the first to the client's URL.

        Args:
            prediction: The prediction.
            job: Its job, as the worker got it.
            files: The output files of the worker.
            metrics: The metrics of the worker.

        Raises:
            ToccataError: The delivery to the client's URL failed.
            OSError: A local file cannot be read.
        """
        set_client(prediction.owner or "")
        outputs = {f"outputs/{prediction.key}/{file.name}": file for file in files}
        first, *more = outputs
        delivered = await self._deliver(prediction, outputs[first])
        inline = prediction.as_data and delivered is None
        data = await with_retries(lambda: file_data(files, self._local)) if inline else None
        self.storing += 1
        try:
            await with_retries(lambda: put_all(self._storage, outputs))
        finally:
            self.storing -= 1
        values = {
            "output": first,
            "more_outputs": more or None,
            "delivered": delivered,
            "metrics": {**metrics, **({} if job is None else job.metrics)},
        }
        return StoredOutputs(tuple(outputs), values, data)

    async def drop(self, outputs: StoredOutputs) -> None:
        """Remove the outputs of a prediction that was canceled meanwhile."""
        await with_retries(lambda: remove_all(self._storage, outputs.names))
