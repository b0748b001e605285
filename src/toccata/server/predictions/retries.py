"""Retry while the database, the storage or the disk does not answer."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from toccata.server.storage.blobs import StorageError
from toccata.server.storage.repository import RepositoryError

log = logging.getLogger(__name__)

FIRST_PAUSE_S, MAX_PAUSE_S = 0.5, 10.0
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE})

T = TypeVar("T")


def is_passing(error: BaseException) -> bool:
    """Whether it is about this machine or what it depends on, and may be over in a while."""
    if isinstance(error, RepositoryError | StorageError):
        return True
    return isinstance(error, OSError) and error.errno in FULL


async def with_retries(work: Callable[[], Awaitable[T]]) -> T:
    """The result of `work`, which is called again until what it needs answers.

    Raises:
        Exception: What `work` raises, unless it `is_passing`.
    """
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return await work()
        except Exception as error:
            if not is_passing(error):
                raise
            log.error("%s; trying again in %g s", error, pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, MAX_PAUSE_S)
