"""Ends of predictions that the last server did not live to tell: they are told at the start."""

from __future__ import annotations

import logging
from collections.abc import Callable

from toccata.server.outputs import output_data
from toccata.server.storage import Storage
from toccata.server.store import Prediction, Store, StoreError
from toccata.server.views import Output

log = logging.getLogger(__name__)

# A prediction, and its output as data URIs if it is given so.
Tell = Callable[[Prediction, Output | None], None]


async def tell_all(owing: list[Prediction], storage: Storage, tell: Tell) -> None:
    for prediction in owing:
        tell(prediction, await output_data(prediction, storage))


def paid(store: Store, prediction_id: str) -> None:
    """Its end has been told: it is not told at the next start."""
    try:
        store.pay(prediction_id)
    except StoreError as error:
        log.error("%s is told again at the next start: %s", prediction_id, error)
