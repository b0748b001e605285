"""Split chained Ogg files into the logical streams that they consist of.

libsndfile reads only the first stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from toccata.errors import AudioError

MAX_LINKS = 1000
_FIRST = 2  # the flag of the first page of a stream
_LACING = 27  # the offset of a page's table of sizes


class _Page(NamedTuple):
    start: int
    is_first: bool


def links(data: bytes) -> list[memoryview]:
    """Split an Ogg file into its links, without copying them.

    Raises:
        AudioError: If there are more than MAX_LINKS.
    """
    starts = [0]
    was_first = True  # multiplexed streams begin with one first page each
    for page in _pages(data):
        if page.is_first and not was_first:
            starts.append(page.start)
        was_first = page.is_first
        if len(starts) > MAX_LINKS:
            raise AudioError(f"is joined from more than {MAX_LINKS} files; export it again")
    view = memoryview(data)
    ends = [*starts[1:], len(data)]
    return [view[start:end] for start, end in zip(starts, ends, strict=True)]


def _pages(data: bytes) -> Iterator[_Page]:
    place = data.find(b"OggS")
    while 0 <= place <= len(data) - _LACING:
        yield _Page(place, bool(data[place + 5] & _FIRST))
        table = data[place + _LACING : place + _LACING + data[place + _LACING - 1]]
        place = data.find(b"OggS", place + _LACING + len(table) + sum(table))
