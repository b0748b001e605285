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
STORAGE_TIMEOUT_S = 120.0  # a file of 100 MB over a slow line
PING_TIMEOUT_S = 10.0

T = TypeVar("T")


class StorageError(ToccataError):
    """The storage does not answer as it should; what was to be done is not."""

    http_status = 503

    def __init__(self) -> None:
        # The reason may hold addresses of the inside; it is the cause, which is logged.
        super().__init__("the storage of files does not answer; try again later")


class BlobStorage:
    """Files by name; names are made by the server and never by a client.

    Calls block. Each raises StorageError for whatever the file system raises, except that a file
    which is not there is FileNotFoundError. The event loop calls them through AsyncBlobStorage.
    """

    def __init__(self, url: str) -> None:
        """`url` as fsspec takes them: a path, s3://bucket/prefix, memory://name.

        Raises:
            InputError: It cannot be used.
        """
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
        """Keep the bytes of a local file as `name`: all of them, or nothing."""
        with source.open("rb") as given, _answers():
            self._files.makedirs(name.rpartition("/")[0], exist_ok=True)
            try:
                with self._files.open(name, "wb") as kept:
                    shutil.copyfileobj(given, kept, BLOCK_BYTES)
            except BaseException:
                with suppress(StorageError):
                    self.remove(name)
                raise

    def get(self, name: str, to: Path) -> None:
        """A local copy. Raises FileNotFoundError; OSError if it cannot be written."""
        with to.open("wb") as copy:
            for block in self.blocks(name, 0, self.size(name)):
                copy.write(block)

    def read(self, name: str) -> bytes:
        """Raises FileNotFoundError."""
        with _answers(), self._files.open(name, "rb") as kept:
            data: bytes = kept.read()
        return data

    def size(self, name: str) -> int:
        """Raises FileNotFoundError."""
        with _answers():
            return int(self._files.size(name))

    def blocks(self, name: str, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` up to `end`, a block at a time."""
        with _answers(), self._files.open(name, "rb") as kept:
            kept.seek(start)
            while start < end and (block := kept.read(min(BLOCK_BYTES, end - start))):
                start += len(block)
                yield block

    def remove(self, name: str) -> None:
        """Nothing happens if there is none."""
        with _answers():
            if self._files.exists(name):
                self._files.rm(name)

    def ping(self) -> None:
        """Write something, so that it is known whether it takes files."""
        with _answers(), self._files.open("ping", "wb") as kept:
            kept.write(b"ping")


class AsyncBlobStorage:
    """Storage for coroutines: every call runs in a thread, and ends in time.

    `blocking` is the storage itself, for code that runs in threads.
    """

    def __init__(self, storage: BlobStorage, timeout_s: float = STORAGE_TIMEOUT_S) -> None:
        self.blocking = storage
        self._calls = BlockingCalls("storage", NUM_THREADS, timeout_s, StorageError)
        self._pings = BlockingCalls("storage-ping", 1, PING_TIMEOUT_S, StorageError)

    def close(self) -> None:
        self._calls.close()
        self._pings.close()

    async def run(self, call: Callable[[BlobStorage], T]) -> T:
        """Await the result of a call that uses the storage itself."""
        return await self._calls.run(call, self.blocking)

    async def put(self, name: str, source: Path) -> None:
        """Keep a local file. If it takes too long, a later `remove` still comes after it."""
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
    """Threads for the files of this machine that inputs and outputs pass through."""
    return BlockingCalls("local-files", NUM_LOCAL_THREADS, STORAGE_TIMEOUT_S, StorageError)


@contextmanager
def _answers() -> Iterator[None]:
    """Raises StorageError for whatever goes wrong in the block, except FileNotFoundError."""
    try:
        yield
    except (FileNotFoundError, StorageError):
        raise
    except Exception as error:  # fsspec's file systems raise errors of their own libraries
        log.error("the storage failed: %s: %s", type(error).__name__, error)
        raise StorageError from error
