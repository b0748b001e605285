"""Write all bytes to a file object that may accept only a part of them at a time."""

from __future__ import annotations

import errno
import io
import os
from typing import BinaryIO


def write_all(stream: BinaryIO, data: bytes) -> None:
    """Write all of `data`, also to an unbuffered file such as stdout under PYTHONUNBUFFERED.

    Raises:
        OSError: If the file accepts no more bytes.
    """
    rest = memoryview(data)
    while rest:
        written = stream.write(rest)
        if not isinstance(stream, io.RawIOBase):
            return
        if written is None:  # a non-blocking pipe is full
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        rest = rest[written:]
