"""Write all bytes to a file object, in as many parts as it takes."""

from __future__ import annotations

import errno
import io
import os
from typing import BinaryIO


def write_all(stream: BinaryIO, data: bytes) -> None:
    """Write `data`: a file without a buffer, as stdout under PYTHONUNBUFFERED, may take a part.

    Raises:
        OSError: If it takes no more.
    """
    rest = memoryview(data)
    while rest:
        taken = stream.write(rest)
        if not isinstance(stream, io.RawIOBase):
            return
        if taken is None:  # a pipe that is full, and does not wait
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        rest = rest[taken:]
