"""Repair uncompressed audio files whose headers name a wrong length.

Recorders that crash and programs that write to a pipe leave the length at 0 or at what it was long
ago; others count a header as samples. What is there is read, and that is said. Files that end long
before their headers say were cut short, and are refused.
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
_SLACK_BYTES, _SLACK_SHARE = 4096, 0.02  # what may be missing without a doubt
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"<?xp")
_W64_GUID_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_CAF_UNKNOWN = 2**64 - 1


class Body(NamedTuple):
    """The samples of a file: where they start, and their size by the header; None: not known."""

    start: int
    declared: int | None


@dataclass(frozen=True)
class Container:
    """How one kind of file is walked.

    find: the body, None where there is none. is_tail: whether bytes behind the body are part of
    the file's form, and not samples; None: such a file ends with them. resized: the file with
    another size of its body in its header.
    """

    find: Callable[[bytes], Body | None]
    is_tail: Callable[[bytes, int], bool] | None
    resized: Callable[[bytes, Body, int], io.RawIOBase]


def repaired(data: bytes, kind: Kind) -> tuple[io.RawIOBase | io.BytesIO, str | None]:
    """A file that decoders read to its end, and what is to be said of it, if anything.

    Raises AudioError for a file without samples, or that was cut short.
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
    """The size of a body of unknown length: to the chunks at the end of the file, if any."""
    end = len(data)
    if container.is_tail is _is_riff_tail:
        end = max(body.start, tail_start(data, body.start))
    return end - body.start


def _misleads(data: bytes, kind: Kind, end: int) -> bool:
    """Whether libsndfile would get a sound file wrong, whose samples end at `end`.

    It does not know BW64, takes a second body for the first, reads what is behind that of w64 as
    samples, and does not find what is behind an odd chunk without its pad byte.
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
    # What RF64 leaves at 0 or at its greatest was never filled in.
    return Body(body.start, long if long and long < 2**62 else None)


def _wav_resized(data: bytes, body: Body, size: int) -> Spliced:
    """Only what says what the samples are, and the samples."""
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
    for start in (end, end + 1):  # the body may be odd, and its pad byte left out
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
    """Chunks are a GUID and a size of 64 bits, which counts both, in multiples of 8."""
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
    """Without what is behind the samples."""
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
