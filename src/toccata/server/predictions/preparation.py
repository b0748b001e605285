"""Prepare the job of a prediction: check its inputs, fetch its audio.

This happens before a slot is taken, so that an address that answers slowly holds nobody else up.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from toccata.generation.schema import ENCODE_DECODE
from toccata.server.concurrency import BlockingCalls, set_client
from toccata.server.config import ServerSettings
from toccata.server.predictions import prediction_inputs
from toccata.server.predictions.queue import QueueEntry
from toccata.server.storage.async_repository import AsyncRepository
from toccata.server.storage.blobs import AsyncBlobStorage
from toccata.server.storage.repository import Prediction
from toccata.server.worker.protocol import Job

# An address that a client gives, the file that it goes to, and the owner of the prediction.
Fetch = Callable[[str, Path, str], Awaitable[Path]]

# What lasts longer is long: it must leave slots to shorter pieces.
LONG_S = 60.0


class Preparation:
    """Makes jobs.

    Args:
        settings: Of the server.
        store: Knows the uploads.
        storage: Where uploads are.
        local: Where blocking calls for local files run.
        fetch: Downloads from addresses that clients give.
    """

    def __init__(
        self,
        settings: ServerSettings,
        store: AsyncRepository,
        storage: AsyncBlobStorage,
        local: BlockingCalls,
        fetch: Fetch,
    ) -> None:
        self._settings, self._store, self._storage = settings, store, storage
        self._local, self._fetch = local, fetch

    async def job(self, prediction: Prediction, folder: Path) -> Job:
        """What the worker is to do; its files are in `folder`, which is made.

        Args:
            prediction: What was asked for.
            folder: Where its input is, and its outputs are to be.

        Raises:
            ToccataError: It cannot be made.
            OSError: The folder cannot be used.
        """
        owner = prediction.owner or ""
        set_client(owner)
        await self._local.run(folder.mkdir, parents=True, exist_ok=True)
        inputs = await prediction_inputs.resolve(
            prediction,
            folder,
            self._storage,
            self._store,
            local=self._local,
            fetch=lambda url, to: self._fetch(url, to, owner),
        )
        model = await self._local.run(prediction_inputs.model_of, inputs.model, self._settings)
        return Job(
            prediction.id,
            model,
            inputs.model,
            inputs.request,
            prediction.seed,
            inputs.output_format,
            str(folder),
            count=prediction.count,
            owner=owner,
        )


def place_of(prediction: Prediction) -> QueueEntry:
    """How the queue treats a prediction."""
    return QueueEntry(
        owner=prediction.owner or "",
        width=prediction.count,
        is_long=_length_s(prediction.input) > LONG_S,
        fetches=prediction.input.get(prediction_inputs.AUDIO) is not None,
        quarantined=bool(prediction.quarantined) or prediction.attempts > 0,
    )


def _length_s(given: Mapping[str, Any]) -> float:
    """How long a piece is; one of the codec alone, whose audio may have any length, is long."""
    if given.get("model_version") != ENCODE_DECODE:
        return _seconds(given.get("duration"))
    end_s = _seconds(given.get("continuation_end"))
    return end_s - _seconds(given.get("continuation_start")) if end_s > 0 else math.inf


def _seconds(number: Any) -> float:
    return float(number) if isinstance(number, int | float) else 0.0
