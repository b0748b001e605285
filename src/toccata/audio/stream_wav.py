"""Encode wav as a stream: a header with or without a length, then PCM samples."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from toccata.audio.riff import UNKNOWN_SIZE
from toccata.errors import AudioError, InputError

_PCM, _FLOAT = 1, 3  # WAVE_FORMAT tags
_LARGEST = 2**32 - 2**16  # leaves room for the tags after the samples
MAX_DATA_BYTES = _LARGEST - 2**10  # of samples


def wav_header(
    sample_rate_hz: int,
    channels: int,
    bit_depth: int = 16,
    data_bytes: int | None = None,
) -> bytes:
    """All that precedes the samples of a wav file.

    data_bytes: size of the samples; None when not known yet, which is what a pipe needs.
    Raises AudioError past 4 GiB, the most that a wav file can hold.
    """
    check_bit_depth(bit_depth)
    frame_bytes = channels * bit_depth // 8
    form = (_FLOAT if bit_depth == 32 else _PCM, channels, sample_rate_hz)
    rest = (sample_rate_hz * frame_bytes, frame_bytes, bit_depth)
    head = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, *form, *rest)
    riff_bytes = data_bytes = UNKNOWN_SIZE if data_bytes is None else data_bytes
    if data_bytes != UNKNOWN_SIZE:
        riff_bytes = len(head) + 8 + data_bytes + data_bytes % 2
        if riff_bytes > _LARGEST:
            raise AudioError("a wav file cannot hold more than 4 GiB; write flac instead")
    return (
        struct.pack("<4sI", b"RIFF", riff_bytes) + head + struct.pack("<4sI", b"data", data_bytes)
    )


def check_bit_depth(bit_depth: int) -> None:
    """Raises InputError unless it is 16, 24 or 32 (32 is float)."""
    if bit_depth not in (16, 24, 32):
        raise InputError("bit_depth", bit_depth, "use 16, 24 or 32")


def quantize(samples: NDArray[np.float32], bits: int) -> NDArray[np.int32]:
    """[C, N] at +-1 to [N, C] integers of `bits`: rounded, held at full scale."""
    scale = 2.0 ** (bits - 1)
    whole = np.rint(samples.T.astype(np.float64) * scale)
    return np.clip(whole, -scale, scale - 1).astype(np.int32)


def to_pcm16(samples: NDArray[np.float32]) -> bytes:
    """[C, N] at +-1 to interleaved little-endian 16-bit bytes."""
    return to_pcm(samples, 16)


def to_pcm(samples: NDArray[np.float32], bit_depth: int) -> bytes:
    """[C, N] to interleaved little-endian bytes; 32 is float, which keeps what is over +-1."""
    check_bit_depth(bit_depth)
    if bit_depth == 32:
        return samples.T.astype("<f4").tobytes()
    if bit_depth == 16:
        return quantize(samples, 16).astype("<i2").tobytes()
    low_first = np.ascontiguousarray(quantize(samples, 24).astype("<i4"))
    return low_first.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
