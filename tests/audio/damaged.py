"""Files as recorders, pipes and taggers leave them, made of whole ones."""

from __future__ import annotations

import struct


def wav_with_size(data: bytes, size: int) -> bytes:
    """A wav whose header says that its samples take `size` bytes."""
    at = data.index(b"data") + 4
    return data[:at] + struct.pack("<I", size) + data[at + 4 :]


def wav_samples(data: bytes) -> int:
    """How many bytes of samples a wav has by its header."""
    return int(struct.unpack_from("<I", data, data.index(b"data") + 4)[0])


def wav_with_odd_chunk(data: bytes, content: bytes = b"abc", pad: bytes = b"") -> bytes:
    """With an odd chunk before the samples; without its pad byte, unless it is given."""
    at = data.index(b"data")
    return data[:at] + struct.pack("<4sI", b"note", len(content)) + content + pad + data[at:]


def id3(size: int, version: int = 4) -> bytes:
    """An ID3v2 tag with `size` bytes of padding in it."""
    parts = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3" + bytes((version, 0, 0)) + parts + bytes(size)


def with_big_size(data: bytes, chunk: bytes, size: int, form: str = ">I") -> bytes:
    """With the size field behind the name `chunk` replaced."""
    at = data.index(chunk) + len(chunk)
    return data[:at] + struct.pack(form, size) + data[at + struct.calcsize(form) :]


def flac_of_unknown_length(data: bytes) -> bytes:
    """FLAC as programs leave it that cannot go back to its header."""
    total = data.index(b"fLaC") + 21
    return data[:total] + bytes((data[total] & 0xF0, 0, 0, 0, 0)) + data[total + 5 :]
