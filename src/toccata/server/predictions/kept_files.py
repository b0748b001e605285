"""Uploads: of each, bytes in the storage, a row in the database and a share of the quota."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from toccata.server.background import Tasks
from toccata.server.predictions.quota import UploadQuota
from toccata.server.predictions.retries import FULL, with_retries
from toccata.server.storage.async_repository import AsyncRepository
from toccata.server.storage.blobs import AsyncBlobStorage, StorageError
from toccata.server.storage.repository import StoredFile


class KeptFiles:
    """Keeps and removes uploads. Used from the event loop only."""

    def __init__(
        self,
        store: AsyncRepository,
        storage: AsyncBlobStorage,
        quota: UploadQuota,
        incoming: Path,
    ) -> None:
        self._store, self._storage, self.quota = store, storage, quota
        self._incoming = incoming
        self._dropping = Tasks()

    def clear(self) -> None:
        """Remove what a server that was killed had received and not kept yet."""
        shutil.rmtree(self._incoming, ignore_errors=True)

    @contextmanager
    def receiving(self) -> Iterator[Path]:
        """Yield a folder for the bytes of one upload until they are kept.

        Raises:
            StorageError: The disk does not take them.
        """
        try:
            self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
            with TemporaryDirectory(dir=self._incoming) as folder:
                yield Path(folder)
        except OSError as error:
            raise full_disk(error) from error

    async def keep(self, owner: str, file: StoredFile, local: Path) -> None:
        """Keep the bytes of a local file, and what is known of it: all of it, or nothing.

        It is noted before there are bytes, so that retention removes those of an upload that the
        end of the server cut off.

        Raises:
            QuotaError: `owner` may not keep so much more.
            StorageError, RepositoryError: What is to keep it does not answer.
        """
        with self.quota.reserved(owner, file):
            try:
                await self._store.note_upload(file.id, owner, file.created_at)
                await self._storage.put(_name(file.id), local)
                await self._store.add_file(file)
            except BaseException:
                self.drop(file.id)  # it may be there all the same
                raise

    def drop(self, file_id: str) -> None:
        """Remove an upload that was refused, as soon as database and storage answer."""
        self._dropping.start(with_retries(lambda: self.remove(file_id)))

    async def remove(self, file_id: str) -> None:
        """Bytes go before the row that knows of them: cut off in between, they are found again.

        Raises:
            StorageError, RepositoryError: What keeps it does not answer.
        """
        await self._storage.remove(_name(file_id))
        await self._store.remove_file(file_id)
        self.quota.remove(file_id)

    async def end(self) -> None:
        await self._dropping.end()


def full_disk(error: OSError) -> Exception:
    """The error for a client whose upload the disk does not take; any other error as it is."""
    return StorageError() if error.errno in FULL else error


def _name(file_id: str) -> str:
    return f"files/{file_id}"
