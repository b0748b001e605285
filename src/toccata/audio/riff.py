"""Parse the RIFF chunks of a wav file, and read and write its LIST/INFO tags."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

UNKNOWN_SIZE = 0xFFFFFFFF  # the size if a writer does not know the length, and always in RF64
_PRACTICALLY_UNKNOWN = 0x7FFFF000  # some recorders write 2 GiB minus a header instead
# The chunks that programs write after the samples of wav and AIFF.
_BEHIND = re.compile(
    rb"LIST|ID3 |id3 |bext|iXML|_PMX|cue |smpl|inst|INST|fact|JUNK|junk|PAD |FLLR|cart|acid|afsp|"
    rb"axml|chna|plst|DISP|PEAK|LGWV|SAUR|umid|minf|elm1|regn|"
    rb"NAME|AUTH|\(c\) |ANNO|MARK|MIDI|AESD|APPL|COMT|CHAN|basc|trns|cate"
)
# No program writes so many, and they can be parsed whenever a file is opened.
MAX_CHUNKS = 10_000
_TAIL_BYTES = 2**24  # the end of a file where tags are searched; pictures in them are large


class Chunk(NamedTuple):
    """A chunk of a RIFF file."""

    name: bytes
    start: int  # offset of the content
    size: int  # as declared

    @property
    def is_endless(self) -> bool:
        """Whether the size is not known."""
        return self.size >= _PRACTICALLY_UNKNOWN


def chunks(data: bytes, start: int = 12) -> Iterator[Chunk]:
    """Yield up to MAX_CHUNKS chunks from offset `start` on; the last one may be truncated."""
    order = ">I" if data[:4] in (b"RIFX", b"FORM") else "<I"
    for _ in range(MAX_CHUNKS):
        if start + 8 > len(data):
            return
        (size,) = struct.unpack_from(order, data, start + 4)
        yield Chunk(data[start : start + 4], start + 8, size)
        start = _behind(data, start + 8 + size, size)


def is_chunk_name(name: bytes) -> bool:
    """Return whether a name is four printable characters, the first a letter or a digit."""
    return len(name) == 4 and name[:1].isalnum() and name.isascii() and all(c >= 32 for c in name)


def tail_start(data: bytes, body: int) -> int:
    """Find the chunks at the end of a file whose header lacks the length of the samples.

    Args:
        data: The bytes of the file.
        body: The offset of the samples.

    Returns:
        The offset of the first chunk of a known name from which on each chunk ends where the next
        one starts, up to the end of the file; without any, the end of the file.
    """
    order = ">I" if data[:4] in (b"RIFX", b"FORM") else "<I"
    window = max(body, len(data) - _TAIL_BYTES)
    starts = {len(data)}
    for found in reversed(list(_BEHIND.finditer(data, window, len(data) - 4))):
        start = found.start()
        (size,) = struct.unpack_from(order, data, start + 4)
        if not starts.isdisjoint((start + 8 + size, start + 8 + size + size % 2)):
            starts.add(start)
    return min(starts)


def _behind(data: bytes, end: int, size: int) -> int:
    """Return the offset of the next chunk; some writers omit the pad byte of odd chunks."""
    lacks_pad = size % 2 and data[end : end + 1] != b"\0" and is_chunk_name(data[end : end + 4])
    return end if lacks_pad else end + size % 2


def pack_chunk(name: bytes, content: bytes) -> bytes:
    """Pack a chunk; a content of odd size gets a pad byte, which the size does not include."""
    return struct.pack("<4sI", name, len(content)) + content + bytes(len(content) % 2)


def rf64_data_size(data: bytes) -> int | None:
    """Return the size of the samples in 64 bits, which RF64 and BW64 files have."""
    for chunk in chunks(data):
        if chunk.name == b"ds64" and chunk.start + 16 <= len(data):
            return int(struct.unpack_from("<Q", data, chunk.start + 8)[0])
    return None


def size_of(length: int) -> bytes:
    """Pack a size field."""
    return struct.pack("<I", length)


def pack_info(entries: Mapping[str, str]) -> bytes:
    """Pack a LIST/INFO chunk; texts are UTF-8 and end with a zero byte."""
    packed = b"".join(
        pack_chunk(name.encode("ascii"), text.replace("\0", " ").encode("utf-8") + b"\0")
        for name, text in entries.items()
    )
    return pack_chunk(b"LIST", b"INFO" + packed)


def unpack_info(data: bytes) -> dict[str, str]:
    """Return the INFO entries of a wav file."""
    for chunk in chunks(data):
        if chunk.name == b"LIST" and data[chunk.start : chunk.start + 4] == b"INFO":
            content = data[: chunk.start + chunk.size]
            return {
                entry.name.decode("latin-1"): _text(content[entry.start :][: entry.size])
                for entry in chunks(content, chunk.start + 4)
            }
    return {}


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")
