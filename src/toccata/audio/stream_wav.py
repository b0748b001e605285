"""Encode wav as a stream of a header, with or without a length, and PCM samples."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from toccata.audio.riff import UNKNOWN_SIZE
from toccata.errors import AudioError, InputError

_PCM, _FLOAT = 1, 3  # WAVE_FORMAT tags
_LARGEST = 2**32 - 2**16  # the rest of 4 GiB is for the tags after the samples
MAX_DATA_BYTES = _LARGEST - 2**10
"""The most bytes of samples in a wav file."""


def wav_header(
    sample_rate_hz: int,
    channels: int,
    bit_depth: int = 16,
    data_bytes: int | None = None,
) -> bytes:
    """Build the header of a wav file.

    Args:
        sample_rate_hz: The sample rate.
        channels: The number of channels.
        bit_depth: 16, 24, or 32 for float.
        data_bytes: The size of the samples; None if it is not known, as in a stream.

    Raises:
        AudioError: If the file would be larger than 4 GiB, the limit of wav.
        InputError: If the bit depth is invalid.
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
    """Raise InputError unless the bit depth is 16, 24 or 32 (for float)."""
    if bit_depth not in (16, 24, 32):
        raise InputError("bit_depth", bit_depth, "use 16, 24 or 32")


def quantize(samples: NDArray[np.float32], bits: int) -> NDArray[np.int32]:
    """Round samples [C, N] at +-1 to integers of `bits` [N, C], clipped at full scale."""
    scale = 2.0 ** (bits - 1)
    whole = np.rint(samples.T.astype(np.float64) * scale)
    return np.clip(whole, -scale, scale - 1).astype(np.int32)


def to_pcm16(samples: NDArray[np.float32]) -> bytes:
    """Convert samples [C, N] at +-1 to interleaved little-endian 16-bit integers."""
    return to_pcm(samples, 16)


def to_pcm(samples: NDArray[np.float32], bit_depth: int) -> bytes:
    """Convert samples [C, N] to interleaved little-endian bytes; 32 bits are float, not clipped."""
    check_bit_depth(bit_depth)
    if bit_depth == 32:
        return samples.T.astype("<f4").tobytes()
    if bit_depth == 16:
        return quantize(samples, 16).astype("<i2").tobytes()
    low_first = np.ascontiguousarray(quantize(samples, 24).astype("<i4"))
    return low_first.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
