"""Read the length in the header of a FLAC file."""

from __future__ import annotations

_MARK = b"fLaC"
_HEAD_BYTES = 512  # in Ogg, a page and a packet begin before the mark
_RATE_AND_TOTAL = 18  # behind the mark: 20 bits of rate, 8 of form, 36 of samples


def declared_s(data: bytes) -> float | None:
    """The length in seconds, of FLAC alone or in Ogg.

    None where it is not known: who writes to a pipe cannot go back and fill it in.
    """
    mark = data.find(_MARK, 0, _HEAD_BYTES)
    field = data[mark + _RATE_AND_TOTAL : mark + _RATE_AND_TOTAL + 8]
    if mark < 0 or len(field) < 8:
        return None
    number = int.from_bytes(field, "big")
    rate_hz, total = number >> 44, number & (2**36 - 1)
    return total / rate_hz if rate_hz and total else None
