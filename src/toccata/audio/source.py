"""Read the bytes of a path or a file object, up to a limit."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, BinaryIO

from toccata.errors import AudioError

Source = str | Path | bytes | BinaryIO


def name_of(source: Source) -> str:
    """Return the name of a source in error messages."""
    if isinstance(source, str | Path):
        return str(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "audio data"


def load(source: Source, max_bytes: int) -> bytes:
    """Read all bytes of a source.

    Raises:
        AudioError: If it cannot be read, or has more than `max_bytes`.
    """
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
    """Read a file object to its end; an unbuffered one returns a part at a time."""
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
    """A readable file that concatenates several parts without copying them."""

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
                piece = part[inside : inside + len(target) - done]
                target[done : done + len(piece)] = piece
                done += len(piece)
            start += len(part)
        self._place += done
        return done
