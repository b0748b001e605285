"""Detect truncated and damaged audio files, which decoders play without an error."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toccata.audio.transforms import Samples, W
from toccata.errors import AudioError, InputError

MAX_CHANNELS = 255
RATES_HZ = range(1000, 768_001)

_LOUDEST = 1000.0  # +60 dBFS: past it, floats are integers in disguise, or noise
_AGAIN = "export or download it again"


def check_ogg(data: bytes) -> None:
    """Raises AudioError for an ogg that was cut in the middle of a page.

    Recorders leave out the end mark, so a whole page less does not tell.
    """
    page = data.rfind(b"OggS")
    lacing = page + 27
    table = data[lacing : lacing + data[lacing - 1]] if lacing <= len(data) else b""
    if lacing > len(data) or lacing + len(table) + sum(table) > len(data):
        raise AudioError(f"is cut short: its last page is not whole; {_AGAIN}")


def check_length(decoded_s: float, declared_s: float | None) -> None:
    """Raises AudioError when much is missing; headers are often off by a little."""
    if declared_s is not None and decoded_s < 0.98 * declared_s - 0.1:
        raise AudioError(f"is cut short: {decoded_s:.2f} of {declared_s:.2f} s; {_AGAIN}")


def check_samples(samples: Samples) -> None:
    """Raises AudioError for NaN, infinity, or floats far beyond full scale.

    They are refused and not mended: one such sample means that the rest is no music either.
    """
    if wrong := _unsound(samples):
        raise AudioError(f"has samples that are {wrong}")


def _unsound(samples: Samples) -> str | None:
    """What is wrong with them and the cure, found without a copy of them."""
    if samples.size == 0:
        return None
    lowest, highest = float(samples.min()), float(samples.max())
    if not np.isfinite((lowest, highest)).all():
        return "not numbers (NaN or infinite); export it again"
    if max(-lowest, highest) > _LOUDEST:
        return "over 1000 times full scale; scale them to +-1"
    return None


def checked(waveform: W, field: str) -> W:
    """A waveform from outside as everything inside expects it: [C, N] float32, finite.

    One dimension is mono, integers are scaled by their full scale, other floats become float32.
    What is right already is returned as it is.

    Args:
        waveform: As a caller of the library made it.
        field: What the error calls it.

    Raises:
        InputError: For samples or a rate that are none.
    """
    _check_rate(waveform.sample_rate_hz, field)
    given: Any = waveform.samples
    if not isinstance(given, np.ndarray):
        kind = type(given).__name__
        raise InputError(field, kind, "its samples must be a numpy array [channels, samples]")
    samples = _scaled(given if given.ndim != 1 else given[None], field)
    _check_shape(samples, field)
    if wrong := _unsound(samples):
        raise InputError(field, f"samples of shape {given.shape}", f"some are {wrong}")
    return waveform if samples is given else replace(waveform, samples=samples)


def _check_rate(rate: Any, field: str) -> None:
    is_number = isinstance(rate, int | np.integer) and not isinstance(rate, bool)
    if not is_number or int(rate) not in RATES_HZ:
        raise InputError(field, f"sample_rate_hz {rate!r}", "use a whole number, 1000 to 768000 Hz")


def _check_shape(samples: Samples, field: str) -> None:
    found = f"samples of shape {samples.shape}"
    if samples.ndim != 2:
        raise InputError(field, found, "give [channels, samples], or one dimension for mono")
    channels, length = samples.shape
    if not 1 <= channels <= MAX_CHANNELS:
        cure = "give [channels, samples]" + (": transpose it" if 0 < length < channels else "")
        raise InputError(field, found, f"{cure}, with 1 to {MAX_CHANNELS} channels")


def _scaled(samples: NDArray[Any], field: str) -> Samples:
    kind, bits = samples.dtype.kind, 8 * samples.dtype.itemsize
    if samples.dtype == np.float32:
        return samples
    if kind == "f":
        with np.errstate(over="ignore"):  # too large ones are infinite then, and refused
            return np.asarray(samples, np.float32)
    if kind == "i":
        return np.asarray(samples * 2.0 ** (1 - bits), np.float32)
    if samples.dtype == np.uint8:  # as wav has 8 bits
        return np.asarray(samples.astype(np.float32) / 128 - 1, np.float32)
    raise InputError(field, f"samples of type {samples.dtype}", "use float32, full scale at +-1")
