"""Blocking generation for event loops: each call runs in a thread of its own.

The default executor of asyncio has few threads, and requests in threads run in one batch: with a
thread for each, as many are in the batch as the model has slots.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self, TypeVar

T = TypeVar("T")


class Cancellation:
    """A `cancel` callback that is true once its block has ended, however it ended.

    Args:
        cancel: A callback that is asked as well; None: no other reason to stop.
    """

    def __init__(self, cancel: Callable[[], bool] | None) -> None:
        self._cancel = cancel
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def __call__(self) -> bool:
        return self._ended.is_set() or (self._cancel is not None and self._cancel())


async def in_thread(call: Callable[[], T]) -> T:
    """Run a blocking call in a new thread and wait for it without blocking the event loop."""
    executor = ThreadPoolExecutor(1, "toccata")
    try:
        return await asyncio.wrap_future(executor.submit(call))
    finally:
        executor.shutdown(wait=False)


async def iterate_in_thread(iterator: Generator[T, None, None]) -> AsyncGenerator[T, None]:
    """Yield the items of a blocking generator, each computed in one thread of its own.

    The generator is closed in that thread, after the item that is computed at the moment.
    """
    executor = ThreadPoolExecutor(1, "toccata")
    end = object()
    try:
        while True:
            following: Future[T | object] = executor.submit(next, iterator, end)
            item = await asyncio.wrap_future(following)
            if item is end:
                return
            yield item  # type: ignore[misc]  # it is no `end`
    finally:
        executor.submit(iterator.close)
        executor.shutdown(wait=False)
