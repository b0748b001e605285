"""Repair uncompressed audio files whose headers have a wrong length.

Recorders that crash and programs that write to a pipe leave the length at 0 or at an old value;
others count a header as samples. Such files are read to their end, with a warning. Files that are
much shorter than their headers say are truncated, and are refused.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from toccata.audio.riff import chunks, is_chunk_name, rf64_data_size, tail_start
from toccata.audio.sniff import Kind
from toccata.audio.source import Spliced
from toccata.errors import AudioError

_AGAIN = "export or download it again"
_SLACK_BYTES, _SLACK_SHARE = 4096, 0.02  # how much may be missing from a complete file
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"<?xp")
_W64_GUID_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_CAF_UNKNOWN = 2**64 - 1


class Body(NamedTuple):
    """The samples of a file: their offset, and their size by the header; None if it has none."""

    start: int
    declared: int | None


@dataclass(frozen=True)
class Container:
    """The functions that parse and repair one format.

    Attributes:
        find: Finds the samples; returns None if there are none.
        is_tail: Whether bytes after the samples are metadata; None for a format that has none.
        resized: Returns the file with another size of the samples in its header.
    """

    find: Callable[[bytes], Body | None]
    is_tail: Callable[[bytes, int], bool] | None
    resized: Callable[[bytes, Body, int], io.RawIOBase]


def repaired(data: bytes, kind: Kind) -> tuple[io.RawIOBase | io.BytesIO, str | None]:
    """Repair a file, so that decoders read it to its end.

    Args:
        data: The bytes of the file.
        kind: The format.

    Returns:
        The file, and a warning or None.

    Raises:
        AudioError: If the file has no samples, or is truncated.
    """
    container = _CONTAINERS.get(kind)
    if container is None:
        return io.BytesIO(data), None
    body = container.find(data)
    if body is None:
        raise AudioError(f"is a {kind} without samples; {_AGAIN}")
    there = len(data) - body.start
    size, warning = _size(data, body, there, container)
    if size == body.declared and not _misleads(data, kind, body.start + size):
        return io.BytesIO(data), warning
    return container.resized(data, body, size), warning


def _size(data: bytes, body: Body, there: int, container: Container) -> tuple[int, str | None]:
    declared = body.declared
    if declared is None:
        return _without_tail(data, body, container), None
    if declared == there:
        return there, None
    if declared > there:
        if declared - there > _SLACK_BYTES + _SLACK_SHARE * declared:
            raise AudioError(f"is cut short: {there} of {declared} bytes of samples; {_AGAIN}")
        more = declared - there
        return there, f"its header counts {more} bytes of samples too many; all there is was read"
    behind = there - declared
    if behind <= declared // 10 + _SLACK_BYTES * bool(declared):
        return declared, None
    end = body.start + declared
    if data.startswith(_TAGS, end) or (container.is_tail and container.is_tail(data, end)):
        return declared, None
    size = _without_tail(data, body, container)
    left_out = f"its header leaves out {size - declared} bytes of samples"
    return size, f"{left_out}; it was read to its end"


def _without_tail(data: bytes, body: Body, container: Container) -> int:
    """Return the size of samples of unknown length, without metadata at the end of the file."""
    end = len(data)
    if container.is_tail is _is_riff_tail:
        end = max(body.start, tail_start(data, body.start))
    return end - body.start


def _misleads(data: bytes, kind: Kind, end: int) -> bool:
    """Return whether libsndfile would misread a valid file whose samples end at `end`.

    It does not support BW64, uses a second body in place of the first, reads metadata after the
    samples of w64 as samples, and does not find chunks after an odd one without a pad byte.
    """
    if kind == "w64":
        return end < len(data)
    return kind == "wav" and (
        data[:4] == b"BW64"
        or sum(chunk.name == b"data" for chunk in chunks(data)) > 1
        or _lacks_pad_bytes(data)
    )


def _lacks_pad_bytes(data: bytes) -> bool:
    for chunk in chunks(data):
        if chunk.name == b"data":
            return False
        end = chunk.start + chunk.size
        if chunk.size % 2 and data[end : end + 1] != b"\0" and is_chunk_name(data[end : end + 4]):
            return True
    return False


def _patched(data: bytes, place: int, field: bytes) -> Spliced:
    view = memoryview(data)
    return Spliced(view[:place], field, view[place + len(field) :])


def _wav_body(data: bytes) -> Body | None:
    body = next((chunk for chunk in chunks(data) if chunk.name == b"data"), None)
    if body is None:
        return None
    if not body.is_endless:
        return Body(body.start, body.size)
    long = rf64_data_size(data)
    # A size of 0 or of the maximum in RF64 was never filled in.
    return Body(body.start, long if long and long < 2**62 else None)


def _wav_resized(data: bytes, body: Body, size: int) -> Spliced:
    """Return a wav of the format chunk and the samples."""
    form = next((chunk for chunk in chunks(data) if chunk.name == b"fmt "), None)
    if form is None:
        raise AudioError(f"is a wav that does not say what its samples are; {_AGAIN}")
    order = ">I" if data[:4] == b"RIFX" else "<I"
    fields = data[form.start : form.start + form.size]
    fields += bytes(len(fields) % 2)
    head = b"WAVEfmt " + struct.pack(order, len(fields)) + fields + b"data"
    riff = b"RIFX" if data[:4] == b"RIFX" else b"RIFF"
    whole = struct.pack(order, min(len(head) + 4 + size, 2**32 - 1))
    samples = memoryview(data)[body.start : body.start + size]
    return Spliced(riff + whole + head + struct.pack(order, min(size, 2**32 - 1)), samples)


def _is_riff_tail(data: bytes, end: int) -> bool:
    for start in (end, end + 1):  # an odd body may lack its pad byte
        if is_chunk_name(data[start : start + 4]) and _all_named(data, start):
            return True
    return False


def _all_named(data: bytes, start: int) -> bool:
    return all(
        is_chunk_name(chunk.name) and chunk.start + chunk.size <= len(data)
        for chunk in chunks(data, start)
    )


def _aiff_body(data: bytes) -> Body | None:
    found = next((chunk for chunk in chunks(data) if chunk.name == b"SSND"), None)
    return None if found is None else Body(found.start + 8, max(0, found.size - 8))


def _aiff_resized(data: bytes, body: Body, size: int) -> Spliced:
    return _patched(data, body.start - 12, struct.pack(">I", min(size + 8, 2**32 - 1)))


def _au_body(data: bytes) -> Body | None:
    if len(data) < 24:
        return None
    start, size = struct.unpack_from(">II", data, 4)
    return Body(start, None if size == 2**32 - 1 else size) if start < len(data) else None


def _au_resized(data: bytes, _: Body, size: int) -> Spliced:
    return _patched(data, 8, struct.pack(">I", min(size, 2**32 - 1)))


def _w64_body(data: bytes) -> Body | None:
    """Find the samples; a chunk starts with a GUID and a size of 64 bits that includes both."""
    start = 40
    while start + 24 <= len(data):
        (size,) = struct.unpack_from("<Q", data, start + 16)
        if data[start : start + 4] == b"data":
            return Body(start + 24, max(0, size - 24) if size < 2**63 - 1 else None)
        if size < 24:
            return None
        start += (size + 7) // 8 * 8
    return None


def _w64_resized(data: bytes, body: Body, size: int) -> Spliced:
    """Return the file without the bytes after the samples."""
    view, field = memoryview(data), struct.pack("<Q", size + 24)
    return Spliced(view[: body.start - 8], field, view[body.start : body.start + size])


def _is_w64_tail(data: bytes, end: int) -> bool:
    aligned = (end + 7) // 8 * 8
    return data[aligned + 4 : aligned + 16] == _W64_GUID_TAIL


def _caf_body(data: bytes) -> Body | None:
    start = 8
    while start + 12 <= len(data):
        (size,) = struct.unpack_from(">Q", data, start + 4)
        if data[start : start + 4] == b"data":
            known = None if size == _CAF_UNKNOWN else max(0, size - 4)
            return Body(start + 16, known)
        start += 12 + size
    return None


def _caf_resized(data: bytes, body: Body, size: int) -> Spliced:
    return _patched(data, body.start - 12, struct.pack(">Q", size + 4))


def _is_caf_tail(data: bytes, end: int) -> bool:
    return is_chunk_name(data[end : end + 4]) and data[end + 4 : end + 8] == bytes(4)


_CONTAINERS: dict[Kind, Container] = {
    "wav": Container(_wav_body, _is_riff_tail, _wav_resized),
    "aiff": Container(_aiff_body, _is_riff_tail, _aiff_resized),
    "au": Container(_au_body, None, _au_resized),
    "w64": Container(_w64_body, _is_w64_tail, _w64_resized),
    "caf": Container(_caf_body, _is_caf_tail, _caf_resized),
}
