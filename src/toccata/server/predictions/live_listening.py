"""Follow the audio files that the worker writes, for any number of listeners.

One task looks at all files that somebody listens to and wakes their listeners, so that a thousand
listeners who wait for a piece in the queue cost no more than one. It reads in threads.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress
from functools import partial
from io import FileIO
from pathlib import Path

from toccata.server.background import Tasks
from toccata.server.concurrency import FairThreads, set_client

BLOCK_BYTES = 2**16
POLL_INTERVAL_S = 0.05
NUM_THREADS = 4


class _GrowingFile:
    """A file that the worker writes, and those who listen to it.

    Attributes:
        num_listeners: How many there are; without any, it is closed at the next look.
        size: How many of its bytes listeners may have.
        newest: Where the last of them begin, and these, so that not every listener reads them.
        is_complete: Whether no more bytes come.
        changed: Set once there are more bytes, or no more come.
    """

    def __init__(self, path: Path, has_ended: Callable[[], bool]) -> None:
        self.path, self.has_ended = path, has_ended
        self.num_listeners = 0
        self.size = 0
        self.newest = (0, b"")
        self.is_complete = False
        self.changed = asyncio.Event()
        # A descriptor that one thread closes while another reads may be that of another file.
        self._lock = threading.Lock()
        self._file: FileIO | None = None

    def read(self, start: int) -> bytes:
        """Up to a block of bytes from `start` on; none while the file does not exist."""
        with self._lock:
            if self._file is None:
                with suppress(FileNotFoundError):
                    self._file = FileIO(self.path)
            if self._file is None or self._file.closed:
                return b""
            return os.pread(self._file.fileno(), BLOCK_BYTES, start)

    def grow(self) -> tuple[int, bytes]:
        """The size, and the first block of the bytes that have come since the last look."""
        piece = self.read(self.size)
        with self._lock:
            if self._file is None or self._file.closed:
                return 0, b""
            return os.fstat(self._file.fileno()).st_size, piece

    def close(self) -> None:
        with self._lock:
            if self._file is not None:
                self._file.close()

    def wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class LiveListening:
    """Everybody who listens to music while it is generated. Used from one event loop."""

    def __init__(self) -> None:
        self._files: dict[Path, _GrowingFile] = {}
        self._threads = FairThreads("live-audio", NUM_THREADS, NUM_THREADS // 2)
        self._tasks = Tasks()
        self._is_looking = False

    async def listen(
        self, path: Path, has_ended: Callable[[], bool], client: str = ""
    ) -> AsyncGenerator[bytes, None]:
        """The bytes of a file that grows, from its start until it is complete.

        Args:
            path: The file, which may not exist yet.
            has_ended: Whether no more is written to it.
            client: Who listens.
        """
        file = self._files.setdefault(path, _GrowingFile(path, has_ended))
        file.num_listeners += 1
        if not self._is_looking:
            self._is_looking = True
            self._tasks.start(self._look())
        try:
            start = 0
            while True:
                changed, is_complete = file.changed, file.is_complete
                while start < file.size and (piece := await self._piece(file, start, client)):
                    yield piece
                    start += len(piece)
                if is_complete:
                    return
                await changed.wait()
        finally:
            file.num_listeners -= 1

    async def end(self) -> None:
        """Close all files, and let nobody wait any longer."""
        await self._tasks.end()
        for file in self._files.values():
            file.is_complete = True
            file.wake()
            file.close()
        self._threads.close()

    async def _piece(self, file: _GrowingFile, start: int, client: str) -> bytes:
        newest_start, newest = file.newest
        if newest and start == newest_start:
            return newest
        return await self._threads.run(client, lambda: file.read(start))

    async def _look(self) -> None:
        """Look at all files again and again, for as long as somebody listens."""
        set_client("")
        while self._files:
            left = [file for file in self._files.values() if not file.num_listeners]
            for file in left:
                del self._files[file.path]
            files = list(self._files.values())
            ended = [file for file in files if file.has_ended()]
            grown = await self._threads.run("", partial(_grow_all, files, left))
            for file, size, piece in grown:
                file.newest = (file.size, piece)
                file.size = size
                file.wake()
            for file in ended:  # what came before the end has been seen by this look
                file.is_complete = True
                file.wake()
            await asyncio.sleep(POLL_INTERVAL_S)
        self._is_looking = False


def _grow_all(
    files: Iterable[_GrowingFile], left: Iterable[_GrowingFile]
) -> list[tuple[_GrowingFile, int, bytes]]:
    """Those with more bytes, each with its size and the first of these. Closes those in `left`."""
    for file in left:
        file.close()
    grown = []
    for file in files:
        with suppress(OSError):  # the next look tries again
            size, piece = file.grow()
            if size > file.size and piece:
                grown.append((file, size, piece))
    return grown
