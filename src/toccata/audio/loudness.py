"""The four normalization strategies: loudness, peak, rms and clip."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from toccata.audio.limiter import limit
from toccata.audio.meter import GATE_S, integrated_lufs
from toccata.audio.transforms import Samples, W, peak, rms, to_channels, to_db, to_gain
from toccata.audio.waveform import Waveform
from toccata.errors import InputError

TARGET_LUFS = -14.0
PEAK_DBFS = -1.0  # also the ceiling of the limiter
RMS_DBFS = -18.0
CLIP_DBFS = -0.5
QUIET_RMS = 2e-3  # below it `loudness` does not change a clip
_SILENCE = 1e-4  # -80 dBFS: softer audio is only noise


def level(waveform: W, strategy: str = "loudness") -> W:
    """Normalize the level of a clip; silence is not changed.

    With loudness and rms a limiter keeps peaks under -1 dBFS, so that clips with high peaks are
    softer than the target.

    Args:
        waveform: The clip.
        strategy: loudness (to -14 LUFS by ITU-R BS.1770-4, unless its RMS is under 2e-3; a clip
            under 0.4 s is one ungated block), peak (to -1 dBFS), rms (the mono mix to -18 dBFS RMS)
            or clip (no gain; samples are clipped at -0.5 dBFS).

    Raises:
        InputError: If the strategy is unknown.
    """
    if strategy not in STRATEGIES:
        raise InputError("normalization_strategy", strategy, f"use one of {', '.join(STRATEGIES)}")
    return replace(waveform, samples=STRATEGIES[strategy](waveform))


def loudness_lufs(waveform: Waveform) -> float:
    """Measure the integrated loudness in LUFS; minus infinity for silence.

    More than 5 channels are mixed to stereo first.
    """
    if waveform.samples.size == 0:
        return -math.inf
    mixed = to_channels(waveform, 2) if waveform.channels > 5 else waveform
    block_s = min(GATE_S, waveform.duration_s)
    return integrated_lufs(mixed.samples.astype(np.float64), waveform.sample_rate_hz, block_s)


def _loudness(waveform: Waveform) -> Samples:
    if rms(waveform.samples) < QUIET_RMS:
        return waveform.samples
    found = loudness_lufs(waveform)
    return _raised(waveform, TARGET_LUFS - found if math.isfinite(found) else 0.0)


def _peak(waveform: Waveform) -> Samples:
    found = peak(waveform.samples)
    return waveform.samples if found < _SILENCE else _raised(waveform, PEAK_DBFS - to_db(found))


def _rms(waveform: Waveform) -> Samples:
    found = rms(waveform.samples.mean(axis=0, dtype=np.float64).astype(np.float32))
    return waveform.samples if found < _SILENCE else _raised(waveform, RMS_DBFS - to_db(found))


def _clip(waveform: Waveform) -> Samples:
    ceiling = to_gain(CLIP_DBFS)
    return np.clip(waveform.samples, -ceiling, ceiling)


def _raised(waveform: Waveform, gain_db: float) -> Samples:
    louder = waveform.samples * np.float32(to_gain(gain_db))
    return limit(louder, waveform.sample_rate_hz, PEAK_DBFS)


STRATEGIES: dict[str, Callable[[Waveform], Samples]] = {
    "loudness": _loudness,
    "peak": _peak,
    "rms": _rms,
    "clip": _clip,
}
