"""Store and deliver the outputs of a prediction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toccata.server.concurrency import BlockingCalls, set_client
from toccata.server.predictions.outputs import file_data, keep_all, remove_all
from toccata.server.predictions.retries import with_retries
from toccata.server.storage.blobs import AsyncBlobStorage
from toccata.server.storage.repository import Prediction
from toccata.server.views import Output
from toccata.server.worker.protocol import Job

# A finished file -> the address that it was uploaded to, None if it is to go nowhere. Raises
# ToccataError if it could not be uploaded.
Deliver = Callable[[Prediction, Path], Awaitable[str | None]]


@dataclass(frozen=True)
class Kept:
    """Outputs that are where they are to be.

    Args:
        names: Their names in the storage.
        values: The fields of the prediction's row that tell of them.
        data: They themselves as data URIs, if they are shown so.
    """

    names: Sequence[str]
    values: Mapping[str, Any]
    data: Output | None


class Finishing:
    """Keeps outputs. A storage that does not answer is waited for, so that nothing is lost."""

    def __init__(self, storage: AsyncBlobStorage, local: BlockingCalls, deliver: Deliver) -> None:
        self._storage, self._local, self._deliver = storage, local, deliver
        self.storing = 0  # how many are made, and wait for the storage

    async def keep(
        self, prediction: Prediction, job: Job | None, files: Sequence[Path], metrics: Any
    ) -> Kept:
        """Bring what was made to where it stays.

        Args:
            prediction: What was asked for.
            job: What the worker was given.
            files: What the worker wrote.
            metrics: What the worker measured.

        Raises:
            ToccataError: It could not be delivered to the client's address.
            OSError: A local file cannot be read.
        """
        set_client(prediction.owner or "")
        made = {f"outputs/{prediction.key}/{file.name}": file for file in files}
        first, *more = made
        delivered = await self._deliver(prediction, made[first])
        inline = prediction.as_data and delivered is None
        data = await with_retries(lambda: file_data(files, self._local)) if inline else None
        self.storing += 1
        try:
            await with_retries(lambda: keep_all(self._storage, made))
        finally:
            self.storing -= 1
        values = {
            "output": first,
            "more_outputs": more or None,
            "delivered": delivered,
            "metrics": {**metrics, **({} if job is None else job.metrics)},
        }
        return Kept(tuple(made), values, data)

    async def drop(self, kept: Kept) -> None:
        """Remove outputs that nobody wants any more."""
        await with_retries(lambda: remove_all(self._storage, kept.names))
