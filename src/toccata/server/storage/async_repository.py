"""The repository for the event loop: every call runs in a thread, for a limited time.

The methods are those of Repository; each raises RepositoryError if the database does not answer
within DATABASE_TIMEOUT_S. The change may have been written all the same.
"""

from __future__ import annotations

from typing import Any

from toccata.server.concurrency import BlockingCalls
from toccata.server.storage.database import LIST_POOL_SIZE, POOL_SIZE
from toccata.server.storage.repository import Prediction, Repository, RepositoryError, StoredFile

DATABASE_TIMEOUT_S = 5.0


class AsyncRepository:
    """The repository for coroutines.

    Args:
        store: The blocking repository, which it owns.
        timeout_s: The timeout of a call.

    Attributes:
        blocking: The repository for code in threads.
    """

    def __init__(self, store: Repository, timeout_s: float = DATABASE_TIMEOUT_S) -> None:
        self.blocking = store
        self._calls = BlockingCalls("database", POOL_SIZE, timeout_s, _timeout)
        # Lists have their own threads, so that they cannot delay the renewal of the lease.
        self._lists = BlockingCalls("database-lists", LIST_POOL_SIZE, timeout_s, _timeout)

    def close(self) -> None:
        """End the threads, and close the connections to the database."""
        self._calls.close()
        self._lists.close()
        self.blocking.close()

    async def release(self) -> None:
        await self._calls.run(self.blocking.release)

    async def renew(self) -> None:
        await self._calls.run(self.blocking.renew)

    async def add(self, prediction: Prediction) -> None:
        await self._calls.run(self.blocking.add, prediction)

    async def get(self, prediction_id: str) -> Prediction | None:
        return await self._calls.run(self.blocking.get, prediction_id)

    async def by_key(self, key: str) -> Prediction | None:
        return await self._calls.run(self.blocking.by_key, key)

    async def by_fingerprint(self, fingerprint: str, created_after: float) -> Prediction | None:
        return await self._calls.run(self.blocking.by_fingerprint, fingerprint, created_after)

    async def change(self, prediction_id: str, **values: Any) -> Prediction | None:
        return await self._calls.run(self.blocking.change, prediction_id, **values)

    async def disown(self, prediction_id: str) -> None:
        await self._calls.run(self.blocking.disown, prediction_id)

    async def add_logs(self, prediction_id: str, text: str) -> bool:
        return await self._calls.run(self.blocking.add_logs, prediction_id, text)

    async def mark_delivered(self, prediction_id: str) -> None:
        await self._calls.run(self.blocking.mark_delivered, prediction_id)

    async def open_ones(self) -> list[Prediction]:
        return await self._calls.run(self.blocking.open_ones)

    async def page(
        self,
        limit: int,
        before: tuple[float, str] | None = None,
        created_after: float | None = None,
        created_before: float | None = None,
    ) -> list[Prediction]:
        return await self._lists.run(
            self.blocking.page, limit, before, created_after, created_before
        )

    async def note_upload(self, file_id: str, owner: str, now: float) -> None:
        await self._calls.run(self.blocking.note_upload, file_id, owner, now)

    async def add_file(self, file: StoredFile) -> None:
        await self._calls.run(self.blocking.add_file, file)

    async def file(self, file_id: str) -> StoredFile | None:
        return await self._calls.run(self.blocking.file, file_id)

    async def files(self, limit: int, before: tuple[float, str] | None = None) -> list[StoredFile]:
        return await self._lists.run(self.blocking.files, limit, before)

    async def remove_file(self, file_id: str) -> bool:
        return await self._calls.run(self.blocking.remove_file, file_id)


def _timeout() -> RepositoryError:
    return RepositoryError("the database does not answer; try again later")
