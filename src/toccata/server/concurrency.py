"""Concurrency limits: in all, and for each owner or host."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import TypeVar

T = TypeVar("T")


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
        await self.enter(key)
        try:
            yield
        finally:
            self.leave(key)

    async def enter(self, key: str) -> None:
        """Wait until one more of `key` may run, and count it until `leave`."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._forget(key, turn)
            else:  # admitted just before
                self.leave(key)
            raise

    def leave(self, key: str) -> None:
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

    def take(self, client: str) -> bool:
        """Whether `client` may have one more; it has it then, until `give_back`."""
        is_granted = self._held[client] < self._total - self._held.total()
        if is_granted:
            self._held[client] += 1
        return is_granted

    def give_back(self, client: str) -> None:
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
        async with waiting or nullcontext():
            await self._limit.enter(key)
        running = asyncio.get_running_loop().run_in_executor(self._threads, call)
        running.add_done_callback(lambda _: self._limit.leave(key))
        return await asyncio.shield(running)
