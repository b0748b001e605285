"""Read the length in the header of a FLAC file."""

from __future__ import annotations

_MARK = b"fLaC"
_HEAD_BYTES = 512  # in Ogg, a page header and a packet header come before the mark
_RATE_AND_TOTAL = 18  # the offset after the mark: 20 bits of rate, 8 of form, 36 of samples


def declared_s(data: bytes) -> float | None:
    """Return the length of FLAC, or of FLAC in Ogg, in seconds.

    None if the header lacks it: a program that writes to a pipe cannot fill it in afterwards.
    """
    mark = data.find(_MARK, 0, _HEAD_BYTES)
    field = data[mark + _RATE_AND_TOTAL : mark + _RATE_AND_TOTAL + 8]
    if mark < 0 or len(field) < 8:
        return None
    number = int.from_bytes(field, "big")
    rate_hz, total = number >> 44, number & (2**36 - 1)
    return total / rate_hz if rate_hz and total else None
