"""Parse frame headers of MPEG audio: layers I to III (mp3 is III) and ADTS, a stream of AAC.

They have no magic number, only a sync word and fields with forbidden values. A single header may be
a coincidence, so several are required, each at the end of the frame before.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

_CHAIN = 3  # the number of consecutive frames that are required
_ADTS_HEADER_BYTES = 7
# By version (1, 2 and 2.5 alike) and layer, in kbit/s; index 0 is "free", which has no length.
_BITRATES: dict[tuple[bool, int], tuple[int, ...]] = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES_HZ = (44100, 48000, 32000)
_RATE_DIVISORS = {3: 1, 2: 2, 0: 4}  # by the version field: MPEG 1, 2, 2.5

FrameKind = Literal["mp3", "mp2", "aac"]


@dataclass(frozen=True)
class FrameHeader:
    """The header of a frame.

    Attributes:
        kind: The format.
        size: The size of the frame in bytes; None for the free format.
        samples: How many samples it is decoded to.
        sample_rate_hz: The sample rate.
    """

    kind: FrameKind
    size: int | None
    samples: int
    sample_rate_hz: int


def frame_at(data: bytes, start: int = 0) -> FrameHeader | None:
    """Parse the header at `start`; None if there is none."""
    head = data[start : start + _ADTS_HEADER_BYTES]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    return _adts(head) if head[1] & 0xF6 == 0xF0 else _layered(head)


def find_frames(data: bytes, start: int, end: int) -> tuple[FrameKind, int] | None:
    """Find the first of several consecutive frames between `start` and `end`.

    Returns:
        The format, and the offset of the frame; None if there are none.
    """
    start = data.find(b"\xff", start, end)
    while start >= 0:
        frame = frame_at(data, start)
        if frame is not None and _chained(data, start, frame):
            return frame.kind, start
        start = data.find(b"\xff", start + 1, end)
    return None


def declared_s(data: bytes) -> float | None:
    """Return the length in seconds by the first frame of an mp3 (Xing, Info); None without one."""
    frame = frame_at(data)
    if frame is None or frame.kind != "mp3":
        return None
    place = max(data.find(b"Xing", 0, 200), data.find(b"Info", 0, 200))
    if place < 0 or len(data) < place + 12:
        return None
    flags, frames = (int(field) for field in struct.unpack_from(">II", data, place + 4))
    if not flags & 1:
        return None
    samples = frames * frame.samples - _padding(data, place + 8, flags)
    return float(max(0, samples) / frame.sample_rate_hz)


def _padding(data: bytes, fields: int, flags: int) -> int:
    """Return how many samples the encoder has added at both ends, by LAME's field; 0 without it.

    `fields` is the offset of the fields that `flags` announces: frames, bytes, table, quality.
    """
    encoder = fields + sum(size for bit, size in enumerate((4, 4, 100, 4)) if flags >> bit & 1)
    if data[encoder : encoder + 4] not in (b"LAME", b"Lavf", b"Lavc"):
        return 0
    both = int.from_bytes(data[encoder + 21 : encoder + 24], "big")
    return (both >> 12) + (both & 0xFFF)


def _chained(data: bytes, start: int, frame: FrameHeader) -> bool:
    kind = frame.kind
    for _ in range(_CHAIN - 1):
        if frame.size is None:
            return False
        start += frame.size
        following = frame_at(data, start)
        if following is None or following.kind != kind:
            return False
        frame = following
    return True


def _adts(head: bytes) -> FrameHeader | None:
    if (head[2] >> 2) & 0xF > 12:
        return None
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5 if len(head) > 5 else 0
    return FrameHeader("aac", size if size >= _ADTS_HEADER_BYTES else None, 1024, 0)


def _layered(head: bytes) -> FrameHeader | None:
    version, layer = (head[1] >> 3) & 3, 4 - ((head[1] >> 1) & 3)
    bitrate, rate, padding = head[2] >> 4, (head[2] >> 2) & 3, (head[2] >> 1) & 1
    if version == 1 or layer == 4 or bitrate == 15 or rate == 3:
        return None
    is_first = version == 3
    rate_hz = _RATES_HZ[rate] // _RATE_DIVISORS[version]
    samples = 384 if layer == 1 else 576 if layer == 3 and not is_first else 1152
    size = None
    if bitrate:
        bits_per_s = 1000 * _BITRATES[is_first, layer][bitrate - 1]
        slot = 4 if layer == 1 else 1
        size = (samples // 8 * bits_per_s // rate_hz // slot + padding) * slot
    return FrameHeader("mp3" if layer == 3 else "mp2", size, samples, rate_hz)
