"""Loudness by ITU-R BS.1770-4, with K-weighting, blocks of 0.4 s, and two gates.

The filters are applied to spectra. The recursive filters of scipy give the same result up to
rounding, but importing scipy takes longer than measuring a clip.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Biquad = tuple[tuple[float, float, float], tuple[float, float, float]]

CHANNEL_GAINS = (1.0, 1.0, 1.0, 1.41, 1.41)  # left, right, centre, surround left and right
GATE_S = 0.4
_OVERLAP_STEP = 0.25  # the distance of blocks, as a share of their length
_OFFSET_DB, _ABSOLUTE_LUFS, _RELATIVE_DB = -0.691, -70.0, -10.0
_SIZE = 2**17  # the number of samples of a spectrum
MEMORY_S = 0.25  # the length of the filters' response: 38 Hz decay by e^-60


def integrated_lufs(samples: Floats, sample_rate_hz: int, block_s: float = GATE_S) -> float:
    """Measure integrated loudness.

    Args:
        samples: [C, N], C at most 5.
        sample_rate_hz: Their rate.
        block_s: The length of a block in seconds.

    Returns:
        LUFS; minus infinity if no block passes the gates.
    """
    energies = _block_energies(_k_weighted(samples, sample_rate_hz), sample_rate_hz, block_s)
    return _gated(energies)


def hop_energies(samples: Floats, sample_rate_hz: int, count: int) -> tuple[list[float], int]:
    """Compute the K-weighted energies of hops, a quarter of a block each, of a stream.

    Args:
        samples: [C, N], C at most 5: old samples for the filters' memory, then new ones.
        sample_rate_hz: Their rate.
        count: How many of the samples are new.

    Returns:
        The energies of complete hops, and how many new samples they have.
    """
    hop = round(GATE_S * _OVERLAP_STEP * sample_rate_hz)
    weighted = _k_weighted(samples, sample_rate_hz)[:, -count:] if count else samples[:, :0]
    gains = np.array(CHANNEL_GAINS[: len(weighted)])
    whole = weighted[:, : weighted.shape[1] // hop * hop]
    squares = np.square(whole).reshape(len(whole), -1, hop).sum(axis=2) / hop
    return [float(energy) for energy in gains @ squares], whole.shape[1]


def gated_lufs(energies: Sequence[float]) -> float:
    """Compute the integrated loudness from `hop_energies`, which may be fewer than a block."""
    if not energies:
        return -math.inf
    size = min(len(energies), round(1 / _OVERLAP_STEP))
    return _gated(np.convolve(energies, np.ones(size) / size, "valid"))


def _gated(energies: Floats) -> float:
    gated = energies[_lufs(energies) >= _ABSOLUTE_LUFS]
    if gated.size == 0:
        return -math.inf
    gated = gated[_lufs(gated) > float(_lufs(gated.mean())) + _RELATIVE_DB]
    return float(_lufs(gated.mean())) if gated.size else -math.inf


def _lufs(energy: Floats | np.floating) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(_OFFSET_DB + 10.0 * np.log10(energy))


def _block_energies(weighted: Floats, sample_rate_hz: int, block_s: float) -> Floats:
    """Return the energy of each block, summed over channels."""
    gains = np.array(CHANNEL_GAINS[: len(weighted)])
    block = block_s * sample_rate_hz
    count = round((weighted.shape[1] - block) / (block * _OVERLAP_STEP)) + 1
    starts = [block * _OVERLAP_STEP * index for index in range(count)]
    parts = [weighted[:, int(start) : int(start + block)] for start in starts]
    return np.array([gains @ np.square(part).sum(axis=1) / block for part in parts])


def _k_weighted(samples: Floats, sample_rate_hz: int) -> Floats:
    """Piece by piece, each with as much before it as the filters remember."""
    before = int(MEMORY_S * sample_rate_hz)
    size = max(_SIZE, 4 * before)
    response = _response(size, sample_rate_hz)
    padded = np.pad(samples, ((0, 0), (before, 0)))
    pieces = []
    for start in range(0, samples.shape[1], size - before):
        spectrum = np.fft.rfft(padded[:, start : start + size], size) * response
        pieces.append(np.fft.irfft(spectrum, size)[:, before:])
    return np.concatenate(pieces, 1)[:, : samples.shape[1]]


def _response(size: int, sample_rate_hz: int) -> NDArray[np.complex128]:
    delay = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    filters = (_shelf(sample_rate_hz), _high_pass(sample_rate_hz))
    parts = [np.polyval(b[::-1], delay) / np.polyval(a[::-1], delay) for b, a in filters]
    return np.asarray(parts[0] * parts[1])


# Both filters are those of De Man 2018, "Evaluation of implementations of the EBU R128 loudness
# measurement", which gives them for any rate.
def _shelf(sample_rate_hz: int) -> Biquad:
    """Return the high shelf, which models the effect of the head."""
    k, q = math.tan(math.pi * 1681.9744509555319 / sample_rate_hz), 0.7071752369554193
    high = 10 ** (3.99984385397 / 20)
    band = high**0.499666774155
    scale = 1 + k / q + k * k
    b = (high + band * k / q + k * k, 2 * (k * k - high), high - band * k / q + k * k)
    return (
        (b[0] / scale, b[1] / scale, b[2] / scale),
        (1.0, 2 * (k * k - 1) / scale, (1 - k / q + k * k) / scale),
    )


def _high_pass(sample_rate_hz: int) -> Biquad:
    k, q = math.tan(math.pi * 38.13547087613982 / sample_rate_hz), 0.5003270373253953
    scale = 1 + k / q + k * k
    return (1.0, -2.0, 1.0), (1.0, 2 * (k * k - 1) / scale, (1 - k / q + k * k) / scale)
