"""Range requests and validators of files (RFC 9110), and their download names."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from urllib.parse import quote

from starlette.datastructures import Headers

MAX_PROBE_BYTES = 2**20
# The bounds of blanks keep the search linear.
_RANGE = re.compile(r"bytes\s{0,9}=\s{0,9}([0-9]{0,18})\s{0,9}-\s{0,9}([0-9]{0,18})", re.IGNORECASE)
_NAME_CHARACTERS = 40


@dataclass(frozen=True)
class Validators:
    """The validators of a file, whose bytes never change.

    Attributes:
        etag: The ETag, with its quotes.
        modified_at: When it was written, in seconds since 1970; None: unknown.
    """

    etag: str
    modified_at: float | None = None

    @classmethod
    def of(cls, name: str, size: int, modified_at: float | None) -> Validators:
        """Make the validators of a file from its name and size."""
        digest = hashlib.sha256(f"{name} {size}".encode()).hexdigest()[:32]
        return cls(f'"{digest}"', None if modified_at is None else float(int(modified_at)))

    def headers(self) -> dict[str, str]:
        """The headers of a response that sends the file."""
        if self.modified_at is None:
            return {"ETag": self.etag}
        return {"ETag": self.etag, "Last-Modified": formatdate(self.modified_at, usegmt=True)}

    def is_known(self, headers: Headers) -> bool:
        """Whether the client has the file already, so that the status is 304."""
        tags = headers.get("if-none-match")
        if tags is not None:
            known = [tag.strip().removeprefix("W/") for tag in tags.split(",")]
            return "*" in known or self.etag in known
        since = _seconds(headers.get("if-modified-since"))
        return since is not None and self.modified_at is not None and self.modified_at <= since

    def takes_range(self, headers: Headers) -> bool:
        """Whether there is no If-Range header, or it is about this version."""
        validator = headers.get("if-range")
        if validator is None:
            return True
        if validator.startswith(('"', "W/")):
            return validator == self.etag
        return self.modified_at is not None and _seconds(validator) == self.modified_at


def span_of(header: str | None, size: int) -> tuple[int, int] | None:
    """Parse a Range header.

    Args:
        header: The header; None: there is none.
        size: The size of the file in bytes.

    Returns:
        The bytes [start, end), empty where the file has none of them (416). None, for the whole
        file: the header is not a byte range, has several, or ends before it begins (RFC 9110).
    """
    match = _RANGE.fullmatch((header or "").strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return max(0, size - int(match[2])), size
    start, last = int(match[1]), int(match[2]) if match[2] else size
    if match[2] and last < start:
        return None
    return min(start, size), min(size, last + 1)


def probe_of(header: str | None) -> tuple[int, int] | None:
    """Parse the Range header with which players test whether ranges are served.

    Returns:
        The bytes [start, end); None: it is not a closed range of the first MAX_PROBE_BYTES.
    """
    match = _RANGE.fullmatch((header or "").strip())
    if match is None or not match[1] or not match[2]:
        return None
    start, end = int(match[1]), int(match[2]) + 1
    return (start, end) if start < end <= MAX_PROBE_BYTES else None


async def first_bytes(blocks: AsyncGenerator[bytes, None], count: int) -> bytes:
    """The first `count` bytes of a stream, or all if it has fewer."""
    found = bytearray()
    async with aclosing(blocks):
        async for block in blocks:
            found += block
            if len(found) >= count:
                break
    return bytes(found[:count])


def disposition(kind: str, name: str) -> str:
    """Make a Content-Disposition header of the kind inline or attachment."""
    plain = re.sub(r"[^A-Za-z0-9 ._()+-]", "_", name)
    extended = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'{kind}; filename="{plain}"{extended}'


def saved_name(prompt: object, model: str, seed: int, suffix: str) -> str:
    """Make a file name for a download: the prompt's start, or else the model, and the seed."""
    text = unicodedata.normalize("NFKD", str(prompt or ""))
    words = re.findall(r"[a-z0-9]+", text.encode("ascii", "ignore").decode().lower())
    slug = "-".join(words)[:_NAME_CHARACTERS].strip("-") or model.rpartition("/")[2]
    return f"{slug}-{seed}.{suffix}"


def _seconds(date: str | None) -> float | None:
    try:
        return None if date is None else parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
