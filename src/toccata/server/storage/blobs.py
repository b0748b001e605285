"""Blob storage of uploads and outputs, in a folder or any file system of fsspec."""

from __future__ import annotations

import logging
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import fsspec
from fsspec.implementations.dirfs import DirFileSystem

from toccata.errors import InputError, ToccataError
from toccata.server.concurrency import BlockingCalls

log = logging.getLogger(__name__)

BLOCK_BYTES = 2**20
NUM_THREADS = 16
NUM_LOCAL_THREADS = 8
STORAGE_TIMEOUT_S = 120.0  # a file of 100 MB over a slow connection
PING_TIMEOUT_S = 10.0

T = TypeVar("T")


class StorageError(ToccataError):
    """The storage does not answer or refuses; nothing was changed."""

    http_status = 503

    def __init__(self) -> None:
        # The reason may have internal addresses: it is only in the cause, which is logged.
        super().__init__("the storage of files does not answer; try again later")


class BlobStorage:
    """Files by name. The server chooses the names, never a client.

    Calls block; the event loop uses AsyncBlobStorage. Each raises StorageError for any error of the
    file system, and FileNotFoundError for a file that does not exist.

    Args:
        url: A URL of fsspec: a path, s3://bucket/prefix, memory://name.

    Raises:
        InputError: It cannot be used.
    """

    def __init__(self, url: str) -> None:
        try:
            base, root = fsspec.url_to_fs(url)
            base.makedirs(root, exist_ok=True)
            self._files = DirFileSystem(path=root, fs=base)
            self.ping()
        except Exception as error:  # every file system has errors of its own
            reason = str(error) or type(error).__name__
            why = f"it cannot be used ({reason}); give a folder or an address like s3://bucket"
            raise InputError("storage", url, why) from error

    def put(self, name: str, source: Path) -> None:
        """Store a local file as `name`, completely or not at all."""
        with source.open("rb") as local, _storage_errors():
            self._files.makedirs(name.rpartition("/")[0], exist_ok=True)
            try:
                with self._files.open(name, "wb") as stored:
                    shutil.copyfileobj(local, stored, BLOCK_BYTES)
            except BaseException:
                with suppress(StorageError):
                    self.remove(name)
                raise

    def get(self, name: str, to: Path) -> None:
        """Copy a file to a local one. Raises FileNotFoundError; OSError if it cannot be written."""
        with to.open("wb") as copy:
            for block in self.blocks(name, 0, self.size(name)):
                copy.write(block)

    def read(self, name: str) -> bytes:
        """Return the bytes of a file. Raises FileNotFoundError."""
        with _storage_errors(), self._files.open(name, "rb") as stored:
            data: bytes = stored.read()
        return data

    def size(self, name: str) -> int:
        """Return the size of a file in bytes. Raises FileNotFoundError."""
        with _storage_errors():
            return int(self._files.size(name))

    def blocks(self, name: str, start: int, end: int) -> Iterator[bytes]:
        """Read the bytes from `start` up to `end`, a block at a time."""
        with _storage_errors(), self._files.open(name, "rb") as stored:
            stored.seek(start)
            while start < end and (block := stored.read(min(BLOCK_BYTES, end - start))):
                start += len(block)
                yield block

    def remove(self, name: str) -> None:
        """Remove a file, if it exists."""
        with _storage_errors():
            if self._files.exists(name):
                self._files.rm(name)

    def ping(self) -> None:
        """Write a small file, to check that the storage can be written to."""
        with _storage_errors(), self._files.open("ping", "wb") as stored:
            stored.write(b"ping")


class AsyncBlobStorage:
    """The storage for coroutines: every call runs in a thread, with a timeout.

    Args:
        storage: The blocking storage.
        timeout_s: The timeout of a call, after which it raises StorageError.

    Attributes:
        blocking: The storage for code in threads.
    """

    def __init__(self, storage: BlobStorage, timeout_s: float = STORAGE_TIMEOUT_S) -> None:
        self.blocking = storage
        self._calls = BlockingCalls("storage", NUM_THREADS, timeout_s, StorageError)
        self._pings = BlockingCalls("storage-ping", 1, PING_TIMEOUT_S, StorageError)

    def close(self) -> None:
        """End the threads."""
        self._calls.close()
        self._pings.close()

    async def run(self, call: Callable[[BlobStorage], T]) -> T:
        """Run a call that takes the blocking storage, in a thread, and return its result."""
        return await self._calls.run(call, self.blocking)

    async def put(self, name: str, source: Path) -> None:
        """Store a local file. A later `remove` waits for it even after a timeout."""
        await self._calls.run_alone(name, self.blocking.put, name, source)

    async def get(self, name: str, to: Path) -> None:
        await self._calls.run(self.blocking.get, name, to)

    async def read(self, name: str) -> bytes:
        return await self._calls.run(self.blocking.read, name)

    async def size(self, name: str) -> int:
        return await self._calls.run(self.blocking.size, name)

    async def blocks(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        blocks = self.blocking.blocks(name, start, end)
        while block := await self._calls.run(next, blocks, b""):
            yield block

    async def remove(self, name: str) -> None:
        await self._calls.run_alone(name, self.blocking.remove, name)

    async def ping(self) -> None:
        await self._pings.run(self.blocking.ping)


def local_files() -> BlockingCalls:
    """Make the threads that read and write the local files of inputs and outputs."""
    return BlockingCalls("local-files", NUM_LOCAL_THREADS, STORAGE_TIMEOUT_S, StorageError)


@contextmanager
def _storage_errors() -> Iterator[None]:
    """Turn any error in the block into StorageError, except FileNotFoundError."""
    try:
        yield
    except (FileNotFoundError, StorageError):
        raise
    except Exception as error:  # fsspec's file systems raise errors of their own libraries
        log.error("the storage failed: %s: %s", type(error).__name__, error)
        raise StorageError from error
