"""Where bytes are kept: uploaded files and outputs, in a folder or wherever fsspec reaches."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import fsspec
from fsspec.implementations.dirfs import DirFileSystem

BLOCK_BYTES = 2**20


class Storage:
    """Files by name; names are made by the server and never by a client."""

    def __init__(self, url: str) -> None:
        """`url` as fsspec takes them: a path, s3://bucket/prefix, memory://name."""
        base, root = fsspec.url_to_fs(url)
        base.makedirs(root, exist_ok=True)
        self._files = DirFileSystem(path=root, fs=base)

    def put(self, name: str, source: Path) -> None:
        """Keep the bytes of a local file as `name`: all of them, or nothing."""
        self._files.makedirs(name.rpartition("/")[0], exist_ok=True)
        try:
            with source.open("rb") as given, self._files.open(name, "wb") as kept:
                shutil.copyfileobj(given, kept, BLOCK_BYTES)
        except OSError:
            with suppress(OSError):
                self.remove(name)
            raise

    def get(self, name: str, to: Path) -> None:
        """A local copy. Raises FileNotFoundError."""
        with self._files.open(name, "rb") as kept, to.open("wb") as copy:
            shutil.copyfileobj(kept, copy, BLOCK_BYTES)

    def read(self, name: str) -> bytes:
        """Raises FileNotFoundError."""
        with self._files.open(name, "rb") as kept:
            data: bytes = kept.read()
        return data

    def size(self, name: str) -> int:
        """Raises FileNotFoundError."""
        return int(self._files.size(name))

    def blocks(self, name: str, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` up to `end`, a block at a time."""
        with self._files.open(name, "rb") as kept:
            kept.seek(start)
            while start < end and (block := kept.read(min(BLOCK_BYTES, end - start))):
                start += len(block)
                yield block

    def remove(self, name: str) -> None:
        """Nothing happens if there is none."""
        if self._files.exists(name):
            self._files.rm(name)
