"""Deliver the webhooks that a stopped server left undelivered."""

from __future__ import annotations

import logging
from collections.abc import Callable

from toccata.server.predictions.outputs import output_data
from toccata.server.predictions.retries import with_retries
from toccata.server.storage.async_repository import AsyncRepository
from toccata.server.storage.blobs import AsyncBlobStorage
from toccata.server.storage.repository import Prediction, RepositoryError
from toccata.server.views import Output

log = logging.getLogger(__name__)

# A prediction, the event, and its output as data URIs if it is given so.
Tell = Callable[[Prediction, str, Output | None], None]


async def publish_pending(
    undelivered: list[Prediction], storage: AsyncBlobStorage, tell: Tell
) -> None:
    """Tell each; a storage that does not answer is waited for, and no failure stops the rest."""
    for prediction in undelivered:
        try:
            data = await with_retries(lambda one=prediction: output_data(one, storage))  # type: ignore[misc]
            tell(prediction, "completed", data)
        except Exception:
            log.exception("the end of %s is told at the next start", prediction.id)


async def mark_delivered(store: AsyncRepository, prediction_id: str) -> None:
    """Its end has been told: it is not told at the next start."""
    try:
        await store.mark_delivered(prediction_id)
    except RepositoryError as error:
        log.error("%s is told again at the next start: %s", prediction_id, error)
