"""Read the bytes of a path or file object, up to a limit."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, BinaryIO

from toccata.errors import AudioError

Source = str | Path | bytes | BinaryIO


def name_of(source: Source) -> str:
    """What error messages call it."""
    if isinstance(source, str | Path):
        return str(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "audio data"


def load(source: Source, max_bytes: int) -> bytes:
    """All bytes of `source`; raises AudioError when it cannot be opened or is over `max_bytes`."""
    data = _bytes(source, max_bytes + 1)
    if len(data) > max_bytes:
        limit = f"{max_bytes / 2**20:.6g} MiB"
        raise AudioError(f"{name_of(source)}: is larger than the limit of {limit}; cut it first")
    return data


def _bytes(source: Source, at_most: int) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        if isinstance(source, str | Path):
            with Path(source).open("rb") as file:
                return file.read(at_most)
        return _all_parts(source, at_most)
    except FileNotFoundError as error:
        raise AudioError(f"{name_of(source)}: no such file; check the path") from error
    except IsADirectoryError as error:
        raise AudioError(f"{name_of(source)}: is a folder; name a file in it") from error
    except ValueError as error:  # a closed file, or a name with a zero in it
        raise AudioError(f"{name_of(source)!a}: cannot be read ({error})") from error
    except OSError as error:
        reason = error.strerror or error
        raise AudioError(f"{name_of(source)}: cannot be read ({reason})") from error


def _all_parts(source: BinaryIO, at_most: int) -> bytes:
    """A file without a buffer, as a socket's, gives a part at a time."""
    parts: list[bytes] = []
    missing = at_most
    while missing > 0:
        part: object = source.read(missing)
        if not isinstance(part, bytes | bytearray | memoryview):
            found = type(part).__name__
            raise AudioError(f"{name_of(source)}: its read gives {found}; give a file of bytes")
        if not part:
            break
        parts.append(bytes(part))
        missing -= len(parts[-1])
    return parts[0] if len(parts) == 1 else b"".join(parts)


class Spliced(io.RawIOBase):
    """A file to read, of several parts one behind the other, none of which is copied."""

    def __init__(self, *parts: bytes | memoryview) -> None:
        self._parts = [memoryview(part) for part in parts]
        self._size = sum(len(part) for part in self._parts)
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = max(0, origin + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        target, done, start = memoryview(buffer).cast("B"), 0, 0
        for part in self._parts:
            inside = self._place + done - start
            if 0 <= inside < len(part) and done < len(target):
                taken = part[inside : inside + len(target) - done]
                target[done : done + len(taken)] = taken
                done += len(taken)
            start += len(part)
        self._place += done
        return done
