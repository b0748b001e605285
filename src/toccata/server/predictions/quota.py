"""Quotas of stored uploads, in all and for each token."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from toccata.errors import ToccataError
from toccata.server.storage.repository import StoredFile


class QuotaError(ToccataError):
    """There is no room for an upload; the message says whose room it is."""

    http_status = 413

    def __init__(self, what: str) -> None:
        super().__init__(f"There is no room for {what}: delete some, or wait until they expire")


@dataclass
class UploadQuota:
    """Counts what is kept. per_owner_bytes: None: as much as there is."""

    total_bytes: int
    per_owner_bytes: int | None = None
    now: Callable[[], float] = time.time
    _kept: dict[str, tuple[int, float, str]] = field(default_factory=dict)

    def load(self, files: Iterable[StoredFile], owners: Mapping[str, str]) -> None:
        """Count what a server before this one has kept.

        Args:
            files: All of it.
            owners: Whose each file is, by its id. One that is not there counts only towards the
                whole, as do those of a version that did not note it.
        """
        for file in files:
            kept = _size(file), file.expires_at or float("inf"), owners.get(file.id, "")
            self._kept.setdefault(file.id, kept)

    @contextmanager
    def reserved(self, owner: str, file: StoredFile) -> Iterator[None]:
        """Count a file from now on, and no longer if the block that stores it fails.

        Raises:
            QuotaError: `owner` may not keep so much more.
        """
        self.check(owner, _size(file))
        self._kept[file.id] = (_size(file), file.expires_at or float("inf"), owner)
        try:
            yield
        except BaseException:
            self.remove(file.id)
            raise

    def remove(self, file_id: str) -> None:
        self._kept.pop(file_id, None)

    def check(self, owner: str, size_bytes: int) -> None:
        """Raises QuotaError if `owner` may not keep so much more."""
        now = self.now()
        self._kept = {name: kept for name, kept in self._kept.items() if kept[1] > now}
        if sum(size for size, _, _ in self._kept.values()) + size_bytes > self.total_bytes:
            raise QuotaError("more uploads on this server")
        if self.per_owner_bytes is None:
            return
        own = sum(size for size, _, whose in self._kept.values() if whose == owner)
        if own + size_bytes > self.per_owner_bytes:
            raise QuotaError("more uploads of yours")


def _size(file: StoredFile) -> int:
    """What a file takes in the storage and, with what was said about it, in the database."""
    return file.size + (len(str(file.metadata)) if file.metadata else 0)
