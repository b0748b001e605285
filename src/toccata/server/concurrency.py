"""How much may go on at once, in all and for one owner or host."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ConcurrencyLimit:
    """Lets `total` blocks run at once, and `per_key` of those with the same key."""

    def __init__(self, total: int, per_key: int) -> None:
        self._total, self._per_key = total, per_key
        self._changed = asyncio.Condition()
        self._running = Counter[str]()

    @asynccontextmanager
    async def of(self, key: str) -> AsyncIterator[None]:
        """Wait until one more of `key` may run, and count it for as long as the block lasts."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._has_room(key))
            self._running[key] += 1
        try:
            yield
        finally:
            self._running[key] -= 1
            self._running = +self._running  # without the keys that have none
            async with self._changed:
                self._changed.notify_all()

    def _has_room(self, key: str) -> bool:
        return self._running[key] < self._per_key and self._running.total() < self._total
