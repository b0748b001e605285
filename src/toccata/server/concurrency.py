"""Limit what runs at once, in all and for each client, and run blocking calls in threads.

- `ConcurrencyLimit` for coroutines that can wait for their turn: downloads, webhooks, lists.
- `Shares` for what is refused at once to a client that has enough: connections, streams.
- `FairThreads` for calls of which the time is known: parsing, encoding, hashing, tidying up.
- `BlockingCalls` for what may never answer, with a timeout: the database, the storage, a disk.

The default executor of asyncio is used for nothing: its few threads are the same for everything,
so that calls that hang, or those of one client, would stop all others.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# For whom the current task works; "": for the server itself.
_CLIENT: ContextVar[str] = ContextVar("client", default="")


def set_client(client: str) -> None:
    """Count the blocking calls of the current task, and of those it starts, as those of `client`.

    Args:
        client: The owner of a request or prediction; "" is the server itself.
    """
    _CLIENT.set(client)


class ConcurrencyLimit:
    """Lets `total` blocks run at once, and `per_key` of those with the same key.

    What becomes free goes to the key that has the least, so that many who wait under one key delay
    no other key.
    """

    def __init__(self, total: float, per_key: int) -> None:
        self._total, self._per_key = total, per_key
        self._running = Counter[str]()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def of(self, key: str) -> AsyncIterator[None]:
        """Wait until one more of `key` may run, and count it for as long as the block lasts."""
        await self.acquire(key)
        try:
            yield
        finally:
            self.release(key)

    async def acquire(self, key: str) -> None:
        """Wait until one more of `key` may run, and count it until `release`."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._forget(key, turn)
            else:  # admitted just before
                self.release(key)
            raise

    def release(self, key: str) -> None:
        """One of `key` has ended."""
        self._running[key] -= 1
        self._running = +self._running  # without the keys that have none
        self._admit()

    def _admit(self) -> None:
        while self._running.total() < self._total:
            allowed = [key for key in self._waiting if self._running[key] < self._per_key]
            if not allowed:
                return
            key = min(allowed, key=self._running.__getitem__)
            turn = self._waiting[key][0]
            self._forget(key, turn)
            if not turn.done():  # otherwise its caller was canceled
                self._running[key] += 1
                turn.set_result(None)

    def _forget(self, key: str, turn: asyncio.Future[None]) -> None:
        """Remove who waits no more; other keys with as few are before this one the next time."""
        turns = self._waiting.pop(key, deque())
        if turn in turns:
            turns.remove(turn)
        if turns:
            self._waiting[key] = turns


class Shares:
    """What clients hold of something that there are `total` of.

    A client may hold as many as are free: half of all at most, and the less the more others hold.
    So a few clients that take whatever they get leave something to the next one.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._held = Counter[str]()

    def acquire(self, client: str) -> bool:
        """Whether `client` may have one more; it has it then, until `release`."""
        is_granted = self._held[client] < self._total - self._held.total()
        if is_granted:
            self._held[client] += 1
        return is_granted

    @contextmanager
    def hold(self, client: str) -> Iterator[bool]:
        """Whether `client` has one more for as long as the block lasts."""
        is_granted = self.acquire(client)
        try:
            yield is_granted
        finally:
            if is_granted:
                self.release(client)

    def count(self, client: str) -> int:
        """How many `client` has now."""
        return self._held[client]

    def release(self, client: str) -> None:
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]


class FairThreads:
    """Threads for blocking calls that clients cause, of which each client has a few at most.

    A call that hangs counts for its client until it returns, even if nobody waits for it any more.

    Args:
        name: The prefix of the threads' names.
        total: How many calls may run at once.
        per_key: How many of them for one client.
    """

    def __init__(self, name: str, total: int, per_key: int) -> None:
        self._threads = ThreadPoolExecutor(total, name)
        self._limit = ConcurrencyLimit(total, per_key)

    async def run(
        self,
        key: str,
        call: Callable[[], T],
        waiting: AbstractAsyncContextManager[None] | None = None,
    ) -> T:
        """Await the result of a call that runs in a thread.

        Args:
            key: The client that causes it.
            call: What may block.
            waiting: Entered for as long as there is no thread for it.

        Raises:
            Exception: What the call raises.
        """
        return await asyncio.shield(await self.start(key, call, waiting))

    async def start(
        self,
        key: str,
        call: Callable[[], T],
        waiting: AbstractAsyncContextManager[None] | None = None,
    ) -> asyncio.Future[T]:
        """As `run`, and return once there is a thread for the call."""
        async with waiting or nullcontext():
            await self._limit.acquire(key)
        try:
            running = asyncio.get_running_loop().run_in_executor(self._threads, call)
        except BaseException:  # the threads are closed
            self._limit.release(key)
            raise
        running.add_done_callback(lambda _: self._limit.release(key))
        return running

    def close(self) -> None:
        """Start no further call; calls that run are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class BlockingCalls:
    """Threads for the calls of one dependency, such as the database, each call with a timeout.

    A call that hangs keeps its thread until it returns, and nothing else: the caller gets an error
    when the time is over, and calls that still wait for a thread are dropped. One client, as
    `set_client` names it, has half of the threads at most.

    Args:
        name: The prefix of the threads' names.
        num_threads: How many calls may run at once.
        timeout_s: How long a caller waits for one call, the wait for a thread included.
        error: Makes the exception that a caller gets when the time is over.
    """

    def __init__(
        self, name: str, num_threads: int, timeout_s: float, error: Callable[[], Exception]
    ) -> None:
        self._threads = FairThreads(name, num_threads, max(1, num_threads // 2))
        self._alone = ConcurrencyLimit(math.inf, 1)
        self._timeout_s = timeout_s
        self._error = error

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Await the result of `call(*args, **kwargs)`, which runs in a thread.

        Raises:
            Exception: What the call raises, or what `error` makes if the time is over. The call
                may still have its effect afterwards.
        """
        async with self._in_time():
            return await self._threads.run(_CLIENT.get(), partial(call, *args, **kwargs))

    async def run_alone(
        self, name: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `run`, after all earlier calls with the same name have returned.

        That holds even for a call that nobody waits for any more: what it still does comes before
        what this one does.
        """
        async with self._in_time():
            await self._alone.acquire(name)
            try:
                work = partial(call, *args, **kwargs)
                running = await self._threads.start(_CLIENT.get(), work)
            except BaseException:
                self._alone.release(name)
                raise
            running.add_done_callback(lambda _: self._alone.release(name))
            return await asyncio.shield(running)

    def close(self) -> None:
        """Start no further call; calls that run are not waited for."""
        self._threads.close()

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except TimeoutError as error:
            raise self._error() from error
