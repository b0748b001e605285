"""Run blocking calls in threads, each with a timeout.

A call that hangs keeps its thread until it returns, and nothing else: the caller gets an error when
the time is over, and calls that still wait for a thread are dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class BlockingCalls:
    """A pool of threads for the calls of one dependency, such as the database.

    Args:
        name: The prefix of the threads' names.
        num_threads: How many calls may run at once.
        timeout_s: How long a caller waits for one call, the wait for a thread included.
        error: Makes the exception that a caller gets when the time is over.
    """

    def __init__(
        self, name: str, num_threads: int, timeout_s: float, error: Callable[[], Exception]
    ) -> None:
        self._threads = ThreadPoolExecutor(num_threads, name)
        self._timeout_s = timeout_s
        self._error = error

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Await the result of `call(*args, **kwargs)`, which runs in a thread.

        Raises:
            Exception: What the call raises, or what `error` makes if the time is over. The call
                may still have its effect afterwards.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await loop.run_in_executor(self._threads, partial(call, *args, **kwargs))
        except TimeoutError as error:
            raise self._error() from error

    def close(self) -> None:
        """Start no further call; calls that run are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
