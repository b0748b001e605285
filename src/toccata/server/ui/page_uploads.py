"""Uploads to the page in progress, and their limits."""

from __future__ import annotations

import errno
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.types import Message, Receive

from toccata.server.concurrency import FairThreads
from toccata.server.ui.page_files import MAX_FILES_PER_UPLOAD, Held, PageFiles

FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT)
MAX_BOUNDARY_BYTES = 70  # RFC 2046, section 5.1.1
NOTHING = Held(0, 0)


class UploadRefused(Exception):
    """An upload has too many files, or there is no room for it."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


@dataclass(eq=False)
class _Upload:
    """One upload. Of what it declares nothing counts; of what has come all does."""

    client: str
    held: Held = NOTHING
    ended_s: float = 0.0


@dataclass(eq=False)
class Uploads:
    """All that come at the moment, over what was there when the last one began or ended.

    One client may upload half of what there is room for, in the time that uploads are kept.
    """

    files: PageFiles
    _there: Held = NOTHING
    _coming: set[_Upload] = field(default_factory=set)
    _past: list[_Upload] = field(default_factory=list)
    _threads: FairThreads = field(default_factory=lambda: FairThreads("page-uploads", 1, 1))

    @asynccontextmanager
    async def admitted(
        self, client: str, headers: Headers, receive: Receive
    ) -> AsyncIterator[Receive]:
        """`receive` for the upload, within the limits.

        Args:
            client: Whose upload it is.
            headers: Of its request.
            receive: Gives the body.

        Raises:
            UploadRefused: Before or while it comes; also if the disk is full.
        """
        length = headers.get("content-length", "")
        if not length.isdigit():
            raise UploadRefused(411, "An upload must say its Content-Length")
        self._there = await self._threads.run(client, self.files.held)
        kept_from_s = time.monotonic() - self.files.max_age_s
        self._past = [one for one in self._past if one.ended_s > kept_from_s]
        self._check(client, Held(int(length), 1))
        own = _Upload(client)
        self._coming.add(own)
        try:
            yield self._counted(own, receive, _delimiter(headers))
        except OSError as error:
            if error.errno not in FULL_ERRORS:
                raise
            raise _full() from error
        finally:
            # The last delimiter ends the last file.
            own.held = Held(own.held.size_bytes, max(1, own.held.files - 1))
            own.ended_s = time.monotonic()
            self._past.append(own)
            try:
                self._there = await self._threads.run(client, self.files.held)
            finally:
                self._coming.discard(own)

    def _counted(self, own: _Upload, receive: Receive, delimiter: bytes) -> Receive:
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
            self._check(own.client, NOTHING)
            return message

        return receive_counted

    def _check(self, client: str, more: Held) -> None:
        """Raises UploadRefused if there is no room for `more` of a client and what is coming."""
        if not self.files.fits(sum((one.held for one in self._coming), self._there + more)):
            raise _full()
        uploads = self._coming.union(self._past)
        own = sum((one.held for one in uploads if one.client == client), more)
        if not self.files.fits(own + own):  # half of the room
            many = "You have uploaded as much to the page as one visitor may; try again tomorrow"
            raise UploadRefused(507, many)


def _full() -> UploadRefused:
    return UploadRefused(507, "There is no room for more uploads to the page; try again later")


def _delimiter(headers: Headers) -> bytes:
    """What stands before each part, read as gradio does. Raises UploadRefused if nothing does."""
    _, options = parse_options_header(headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= MAX_BOUNDARY_BYTES:
        raise UploadRefused(400, "The upload is no multipart form with a boundary")
    return b"--" + boundary
