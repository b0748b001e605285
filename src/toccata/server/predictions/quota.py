"""Quotas of stored uploads, in all and for each token."""

from __future__ import annotations

import heapq
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from toccata.errors import ToccataError
from toccata.server.storage.repository import StoredFile

MAX_FILES = 100_000


class QuotaError(ToccataError):
    """There is no room for an upload; the message says whose room it is."""

    http_status = 413

    def __init__(self, what: str) -> None:
        super().__init__(f"There is no room for {what}: delete some, or wait until they expire")


@dataclass(frozen=True)
class _Kept:
    """What counts of an upload."""

    size_bytes: int
    expires_at: float
    owner: str


@dataclass
class UploadQuota:
    """Counts the uploads that are kept. Each check takes the same time, however many these are.

    Args:
        total_bytes: The maximum size of all uploads.
        per_owner_bytes: The maximum size of the uploads of one owner; None: as much as there is.
        max_files: The maximum number of uploads; of one owner, half of it. An empty file takes a
            block of the disk and two rows of the database too.
        now: The time in seconds since 1970.
    """

    total_bytes: int
    per_owner_bytes: int | None = None
    max_files: int = MAX_FILES
    now: Callable[[], float] = time.time
    _kept: dict[str, _Kept] = field(default_factory=dict)
    _expiries: list[tuple[float, str]] = field(default_factory=list)  # a heap
    _bytes: Counter[str] = field(default_factory=Counter)  # by owner
    _files: Counter[str] = field(default_factory=Counter)
    _sum_bytes: int = 0

    def load(self, files: Iterable[StoredFile], owners: Mapping[str, str]) -> None:
        """Count what a server before this one has kept.

        Args:
            files: All of it.
            owners: Whose each file is, by its id. One that is not there counts only towards the
                whole, as do those of a version that did not note it.
        """
        for file in files:
            if file.id not in self._kept:
                self._add(file, owners.get(file.id, ""))

    @contextmanager
    def reserved(self, owner: str, file: StoredFile) -> Iterator[None]:
        """Count a file from now on, and no longer if the block that stores it fails.

        Raises:
            QuotaError: `owner` may not keep so much more.
        """
        self.check(owner, _size(file))
        self._add(file, owner)
        try:
            yield
        except BaseException:
            self.remove(file.id)
            raise

    def remove(self, file_id: str) -> None:
        """Count a file no longer."""
        kept = self._kept.pop(file_id, None)
        if kept is None:
            return
        self._sum_bytes -= kept.size_bytes
        self._bytes[kept.owner] -= kept.size_bytes
        self._files[kept.owner] -= 1
        if not self._files[kept.owner]:
            del self._files[kept.owner], self._bytes[kept.owner]

    def check(self, owner: str, size_bytes: int) -> None:
        """Raises QuotaError if `owner` may not keep one more file of that size."""
        self._expire()
        is_full = len(self._kept) >= self.max_files
        if is_full or self._sum_bytes + size_bytes > self.total_bytes:
            raise QuotaError("more uploads on this server")
        has_all = self._files[owner] >= max(1, self.max_files // 2)
        per_owner_bytes = self.total_bytes if self.per_owner_bytes is None else self.per_owner_bytes
        if has_all or self._bytes[owner] + size_bytes > per_owner_bytes:
            raise QuotaError("more uploads of yours")

    def _add(self, file: StoredFile, owner: str) -> None:
        kept = _Kept(_size(file), file.expires_at or math.inf, owner)
        self._kept[file.id] = kept
        heapq.heappush(self._expiries, (kept.expires_at, file.id))
        self._sum_bytes += kept.size_bytes
        self._bytes[owner] += kept.size_bytes
        self._files[owner] += 1

    def _expire(self) -> None:
        """Count no longer what has expired. An entry of the heap may be of one that is gone."""
        now = self.now()
        while self._expiries and self._expiries[0][0] <= now:
            self.remove(heapq.heappop(self._expiries)[1])


def _size(file: StoredFile) -> int:
    """What a file takes in the storage and, with what was said about it, in the database."""
    return file.size + (len(str(file.metadata)) if file.metadata else 0)
