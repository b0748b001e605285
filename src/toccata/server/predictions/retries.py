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

MIN_DELAY_S, MAX_DELAY_S = 0.5, 10.0
# Errors of a full disk or of too many open files.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE})

T = TypeVar("T")


def is_temporary(error: BaseException) -> bool:
    """Whether an error is about the machine, the database or the storage, and may pass."""
    if isinstance(error, RepositoryError | StorageError):
        return True
    return isinstance(error, OSError) and error.errno in FULL


async def with_retries(work: Callable[[], Awaitable[T]]) -> T:
    """Run `work`, and again after each temporary error, with growing delays.

    Args:
        work: Makes the coroutine of one attempt.

    Returns:
        The result of the attempt that succeeded.

    Raises:
        Exception: What `work` raises, unless it `is_temporary`.
    """
    delay_s = MIN_DELAY_S
    while True:
        try:
            return await work()
        except Exception as error:
            if not is_temporary(error):
                raise
            log.error("%s; trying again in %g s", error, delay_s)
        await asyncio.sleep(delay_s)
        delay_s = min(2 * delay_s, MAX_DELAY_S)
