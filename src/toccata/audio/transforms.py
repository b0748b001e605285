"""Functions that change the rate, channels, part or fades of a `Waveform` and return a new one.

The result for a `Clip` is a `Clip` with other samples and rate.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from toccata.audio.waveform import Waveform
from toccata.errors import InputError

Samples = NDArray[np.float32]
W = TypeVar("W", bound=Waveform)

# Layouts of wav and flac: front L R, centre C, low frequencies -, sides and back l r. Their
# weights in a stereo mix are those of ITU-R BS.775, which leaves the low frequency channel out.
_LAYOUTS = {3: "LRC", 4: "LRlr", 5: "LRClr", 6: "LRC-lr", 7: "LRC-Clr", 8: "LRC-lrlr"}
_SIDE = math.sqrt(0.5)
_LEFT = {"L": 1.0, "C": _SIDE, "l": _SIDE}
_RIGHT = {"R": 1.0, "C": _SIDE, "r": _SIDE}


def to_gain(level_db: float) -> float:
    """Convert decibels to an amplitude factor."""
    return float(10.0 ** (level_db / 20.0))


def to_db(gain: float) -> float:
    """Convert an amplitude factor to decibels; 0 is minus infinity."""
    return 20.0 * math.log10(gain) if gain > 0.0 else -math.inf


def peak(samples: Samples) -> float:
    """Return the largest absolute sample; 0 for an empty array."""
    return float(np.max(np.abs(samples), initial=0.0))


def rms(samples: Samples) -> float:
    """Return the root mean square over all channels; 0 for an empty array."""
    if samples.size == 0:
        return 0.0
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def resample(waveform: W, sample_rate_hz: int) -> W:
    """Resample to another rate; N becomes about N * new / old.

    Raises:
        InputError: If the rate is not above 0.
    """
    if sample_rate_hz <= 0:
        raise InputError("sample_rate_hz", sample_rate_hz, "use a rate above 0 Hz")
    if sample_rate_hz == waveform.sample_rate_hz:
        return waveform
    import soxr

    turned = soxr.resample(waveform.samples.T, waveform.sample_rate_hz, sample_rate_hz)
    samples = np.ascontiguousarray(turned.T, dtype=np.float32)
    return replace(waveform, samples=samples, sample_rate_hz=sample_rate_hz)


def to_channels(waveform: W, channels: int) -> W:
    """Mix to another number of channels.

    Mono is copied to all channels. More channels are mixed to stereo with the coefficients of ITU-R
    BS.775, scaled so that the mix cannot clip. Mono is the mean of the stereo mix. More than two
    channels are left, right, and silence in the others.

    Raises:
        InputError: If `channels` is below 1.
    """
    if channels < 1:
        raise InputError("channels", channels, "use 1 or more")
    if channels == waveform.channels:
        return waveform
    return replace(waveform, samples=_mixed(waveform.samples, channels))


def _mixed(samples: Samples, channels: int) -> Samples:
    if samples.shape[0] == 1:
        return np.repeat(samples, channels, axis=0)
    stereo = samples if samples.shape[0] == 2 else _stereo_matrix(samples.shape[0]) @ samples
    if channels == 1:
        return np.asarray(stereo.mean(axis=0, keepdims=True, dtype=np.float32))
    silent = np.zeros((channels - 2, samples.shape[1]), np.float32)
    return np.concatenate([stereo, silent])


def to_model_channels(waveform: W, channels: int) -> W:
    """Mix a clip as `to_channels` does, for the input of a model.

    Mono is the louder of sum and difference of the stereo mix, halved: the sum of channels in
    opposite phase would be silence.
    """
    if channels > 1 or waveform.channels == 1:
        return to_channels(waveform, channels)
    left, right = to_channels(waveform, 2).samples
    middle, side = (left + right) / 2, (left - right) / 2
    louder = side if rms(side) > rms(middle) else middle
    return replace(waveform, samples=louder[None])


def _stereo_matrix(channels: int) -> Samples:
    """Return the matrix [2, C] of the stereo mix, whose rows sum to 1.

    Channels of an unknown layout are mixed to both sides equally.
    """
    layout = _LAYOUTS.get(channels, "C" * channels)
    sides = [[weights.get(place, 0.0) for place in layout] for weights in (_LEFT, _RIGHT)]
    matrix = np.array(sides, np.float32)
    return np.asarray(matrix / matrix.sum(axis=1, keepdims=True), np.float32)


def cut(waveform: W, start_s: float = 0.0, end_s: float | None = None) -> W:
    """Return the part from `start_s` to `end_s`; None or a time past the end for the end.

    Raises:
        InputError: If the part is negative, ends before it starts, or starts past the end.
    """
    check_part(start_s, end_s)
    rate = waveform.sample_rate_hz
    end = None if end_s is None else round(end_s * rate)
    samples = waveform.samples[:, round(start_s * rate) : end]
    if samples.shape[1] == 0:
        raise InputError("start_s", start_s, f"the audio is {waveform.duration_s:.2f} s long")
    return replace(waveform, samples=samples)


def check_part(start_s: float, end_s: float | None) -> None:
    """Raise InputError unless 0 <= start_s < end_s."""
    if not 0.0 <= start_s < math.inf:
        raise InputError("start_s", start_s, "use 0 or more seconds")
    if end_s is not None and not end_s > start_s:
        raise InputError("end_s", end_s, f"use more than start_s, which is {start_s}")


def fade(waveform: W, in_s: float = 0.0, out_s: float = 0.0) -> W:
    """Fade in from silence and out to silence.

    Args:
        waveform: The audio.
        in_s: The length of the fade-in in seconds; a longer fade than the clip covers all of it.
        out_s: The length of the fade-out in seconds.

    Raises:
        InputError: If a length is negative or not finite.
    """
    for field, seconds in (("in_s", in_s), ("out_s", out_s)):
        if not 0.0 <= seconds < math.inf:
            raise InputError(field, seconds, "use 0 or more seconds")
    samples = waveform.samples.copy()
    total, rate = samples.shape[1], waveform.sample_rate_hz
    rise, fall = (min(total, round(seconds * rate)) for seconds in (in_s, out_s))
    samples[:, :rise] *= _ramp(rise)
    samples[:, total - fall :] *= _ramp(fall)[::-1]
    return replace(waveform, samples=samples)


def _ramp(length: int) -> Samples:
    """Return a raised cosine from 0 to 1, which is smooth at both ends."""
    phase = (np.arange(length) + 0.5) * (np.pi / max(1, length))
    return np.asarray(0.5 - 0.5 * np.cos(phase), np.float32)
