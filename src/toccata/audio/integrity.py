"""Detect truncated and damaged audio, which decoders accept without an error."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toccata.audio.transforms import Samples, W
from toccata.audio.waveform import Waveform
from toccata.errors import AudioError, InputError

MAX_CHANNELS = 255
RATES_HZ = range(1000, 768_001)

_LOUDEST = 1000.0  # +60 dBFS: larger floats are unscaled integers, or noise
_AGAIN = "export or download it again"


def check_ogg(data: bytes) -> None:
    """Raise AudioError for an Ogg file that ends in the middle of a page.

    Missing whole pages are not detected, because recorders do not write the end mark.
    """
    page = data.rfind(b"OggS")
    lacing = page + 27
    table = data[lacing : lacing + data[lacing - 1]] if lacing <= len(data) else b""
    if lacing > len(data) or lacing + len(table) + sum(table) > len(data):
        raise AudioError(f"is cut short: its last page is not whole; {_AGAIN}")


def check_length(decoded_s: float, declared_s: float | None) -> None:
    """Raise AudioError if the decoded length is much shorter than the header's."""
    if declared_s is not None and decoded_s < 0.98 * declared_s - 0.1:
        raise AudioError(f"is cut short: {decoded_s:.2f} of {declared_s:.2f} s; {_AGAIN}")


def check_samples(samples: Samples) -> None:
    """Raise AudioError for NaN, infinity, or floats far beyond full scale.

    They are not repaired: if one sample is such a number, the rest is not music either.
    """
    if wrong := _unsound(samples):
        raise AudioError(f"has samples that are {wrong}")


def _unsound(samples: Samples) -> str | None:
    """Return what is wrong with samples and the cure; no copy of them is made."""
    if samples.size == 0:
        return None
    lowest, highest = float(samples.min()), float(samples.max())
    if not np.isfinite((lowest, highest)).all():
        return "not numbers (NaN or infinite); export it again"
    if max(-lowest, highest) > _LOUDEST:
        return "over 1000 times full scale; scale them to +-1"
    return None


def checked(waveform: W, field: str) -> W:
    """Convert a waveform that a user created to finite samples [C, N] float32.

    Samples of one dimension are mono, integers are divided by their full scale, and other floats
    are converted to float32. A waveform that is right already is returned as it is.

    Args:
        waveform: The waveform.
        field: The name of the parameter, for errors.

    Raises:
        InputError: If the samples or the rate are invalid.
    """
    check_form(waveform, field)
    array = waveform.samples
    samples = _scaled(array if array.ndim != 1 else array[None], field)
    _check_shape(samples, field)
    if wrong := _unsound(samples):
        raise InputError(field, f"samples of shape {array.shape}", f"some are {wrong}")
    return waveform if samples is array else replace(waveform, samples=samples)


def check_form(waveform: Waveform, field: str) -> None:
    """Check the rate of a waveform and the type of its samples.

    Args:
        waveform: The waveform.
        field: The name of the parameter, for errors.

    Raises:
        InputError: If one of them is invalid.
    """
    _check_rate(waveform.sample_rate_hz, field)
    array: Any = waveform.samples
    if not isinstance(array, np.ndarray):
        kind = type(array).__name__
        raise InputError(field, kind, "its samples must be a numpy array [channels, samples]")


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
        with np.errstate(over="ignore"):  # numbers that are too large become infinite
            return np.asarray(samples, np.float32)
    if kind == "i":
        return np.asarray(samples * 2.0 ** (1 - bits), np.float32)
    if samples.dtype == np.uint8:  # as in wav with 8 bits
        return np.asarray(samples.astype(np.float32) / 128 - 1, np.float32)
    raise InputError(field, f"samples of type {samples.dtype}", "use float32, full scale at +-1")
