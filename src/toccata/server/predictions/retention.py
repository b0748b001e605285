"""What is done every minute: uploads expire, and old predictions are wiped if they are to be."""

from __future__ import annotations

import asyncio
import logging
import time

from toccata.server.config import ServerSettings
from toccata.server.predictions.prediction_inputs import inline_uploads
from toccata.server.storage.blobs import Storage
from toccata.server.storage.repository import Store

log = logging.getLogger(__name__)
EVERY_S = 60.0


async def keep_tidy(settings: ServerSettings, store: Store, storage: Storage) -> None:
    """Tidy up from time to time, without end; whatever goes wrong is tried again later."""
    while True:
        try:
            await asyncio.to_thread(tidy, settings, store, storage, time.time())
        except Exception:
            log.exception("tidying up failed, and is tried again later")
        await asyncio.sleep(EVERY_S)


def tidy(settings: ServerSettings, store: Store, storage: Storage, now: float) -> None:
    """Bytes go before the row that knows of them: cut off in between, it is done the next time."""
    for file_id in store.expired_files(now):
        _remove_upload(store, storage, file_id)
    if settings.retention_s is None:
        return
    before = now - settings.retention_s
    used = store.audio_in_use()
    for file_id in inline_uploads(store.inputs_before(before), store):
        if file_id not in used:
            _remove_upload(store, storage, file_id)
    for output in store.outputs_before(before):
        storage.remove(output)
    store.forget(before)


def _remove_upload(store: Store, storage: Storage, file_id: str) -> None:
    storage.remove(f"files/{file_id}")
    store.remove_file(file_id)
