"""Bytes of a path, of a file object or as they are, with a cap."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

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
        return source.read(at_most)
    except FileNotFoundError as error:
        raise AudioError(f"{name_of(source)}: no such file; check the path") from error
    except IsADirectoryError as error:
        raise AudioError(f"{name_of(source)}: is a folder; name a file in it") from error
    except OSError as error:
        reason = error.strerror or error
        raise AudioError(f"{name_of(source)}: cannot be read ({reason})") from error
