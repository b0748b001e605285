"""Uploads to the page while they come: how many files, and whether there is room for them."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.types import Message, Receive

from toccata.server.ui.page_files import MAX_FILES_PER_UPLOAD, Held, PageFiles

FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT)
MAX_BOUNDARY_BYTES = 70  # RFC 2046, section 5.1.1


class UploadRefused(Exception):
    """An upload has too many files, or there is no room for it."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


@dataclass(eq=False)
class _Coming:
    """One upload. Of what it declares nothing counts; of what has come all does."""

    held: Held = field(default_factory=lambda: Held(0, 0))


@dataclass(eq=False)
class Uploads:
    """All that come at the moment, over what was there when the last one began or ended."""

    files: PageFiles
    _there: Held = field(default_factory=lambda: Held(0, 0))
    _coming: set[_Coming] = field(default_factory=set)

    @asynccontextmanager
    async def admitted(self, headers: Headers, receive: Receive) -> AsyncIterator[Receive]:
        """`receive` for the upload, within the limits.

        Raises:
            UploadRefused: before or while it comes; also if the disk is full.
        """
        length = headers.get("content-length", "")
        if not length.isdigit():
            raise UploadRefused(411, "An upload must say its Content-Length")
        self._there = await asyncio.to_thread(self.files.held)
        self._check(Held(int(length), 1))
        own = _Coming()
        self._coming.add(own)
        try:
            yield self._counted(own, receive, _delimiter(headers))
        except OSError as error:
            if error.errno not in FULL_ERRORS:
                raise
            raise _full() from error
        finally:
            try:
                self._there = await asyncio.to_thread(self.files.held)
            finally:
                self._coming.discard(own)

    def _counted(self, own: _Coming, receive: Receive, delimiter: bytes) -> Receive:
        last = b""

        async def receive_counted() -> Message:
            nonlocal last
            message = await receive()
            body = message.get("body", b"")
            parts = (last + body).count(delimiter)
            last = (last + body)[1 - len(delimiter) :]
            own.held += Held(len(body), parts)
            if own.held.files > MAX_FILES_PER_UPLOAD + 1:  # one more ends the last file
                many = f"An upload to the page may have {MAX_FILES_PER_UPLOAD} files at most"
                raise UploadRefused(413, many)
            self._check(Held(0, 0))
            return message

        return receive_counted

    def _check(self, more: Held) -> None:
        """Raises UploadRefused if there is no room for `more` and what is coming."""
        whole = sum((one.held for one in self._coming), self._there + more)
        if not self.files.fits(whole):
            raise _full()


def _full() -> UploadRefused:
    return UploadRefused(507, "There is no room for more uploads to the page; try again later")


def _delimiter(headers: Headers) -> bytes:
    """What stands before each part, read as gradio does. Raises UploadRefused if nothing does."""
    _, options = parse_options_header(headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= MAX_BOUNDARY_BYTES:
        raise UploadRefused(400, "The upload is no multipart form with a boundary")
    return b"--" + boundary
