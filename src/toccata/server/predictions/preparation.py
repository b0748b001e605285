"""Prepare the job of a prediction: check its inputs, fetch its audio.

This happens before the prediction gets a slot, so that a slow download delays no other prediction.
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

# A URL that a client gave, the file to write, and the owner of the prediction.
Fetch = Callable[[str, Path, str], Awaitable[Path]]

# Longer clips leave some slots to shorter ones.
LONG_CLIP_S = 60.0


class Preparation:
    """Makes the jobs of predictions.

    Args:
        settings: The settings of the server.
        store: The database, with the rows of uploads.
        storage: The storage of uploads.
        local: The threads for local files.
        fetch: Downloads from URLs that clients gave.
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
        """Make the job of a prediction.

        Args:
            prediction: The prediction.
            folder: The folder for its input audio and its outputs, which is created.

        Raises:
            ToccataError: Its inputs cannot be used.
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
    """Describe a prediction to the queue."""
    return QueueEntry(
        owner=prediction.owner or "",
        width=prediction.count,
        is_long=_length_s(prediction.input) > LONG_CLIP_S,
        fetches=prediction.input.get(prediction_inputs.AUDIO) is not None,
        quarantined=bool(prediction.quarantined) or prediction.attempts > 0,
    )


def _length_s(inputs: Mapping[str, Any]) -> float:
    """The length of a clip; infinite for encode-decode of audio whose length is not known yet."""
    if inputs.get("model_version") != ENCODE_DECODE:
        return _seconds(inputs.get("duration"))
    end_s = _seconds(inputs.get("continuation_end"))
    return end_s - _seconds(inputs.get("continuation_start")) if end_s > 0 else math.inf


def _seconds(number: Any) -> float:
    return float(number) if isinstance(number, int | float) else 0.0
