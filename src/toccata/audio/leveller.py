"""Level normalization of a stream whose end is not known yet.

The gain is the one with which `loudness.level` would normalize the samples so far. It changes
slowly, and at the end of a clip is within about 1 dB of the file's. The limiter is the same.
"""

from __future__ import annotations

import math

import numpy as np

from toccata.audio.limiter import LOOKAHEAD_S, limit
from toccata.audio.loudness import CLIP_DBFS, PEAK_DBFS, QUIET_RMS, RMS_DBFS, TARGET_LUFS
from toccata.audio.meter import MEMORY_S, gated_lufs, hop_energies
from toccata.audio.transforms import Samples, to_channels, to_db, to_gain
from toccata.audio.waveform import Waveform

SLEW_DB_PER_S = 2.0  # slow enough to avoid pumping
MAX_FIRST_GAIN_DB = 12.0  # limits the gain of a soft intro
_RELEASED_S = 0.6  # after this time the limiter has recovered from a peak of 36 dB


class StreamLeveller:
    """Normalizes a stream of samples with a delay of a few milliseconds.

    Args:
        strategy: loudness, rms or clip, as in `loudness.level`; peak needs the whole clip.
        sample_rate_hz: The rate of the samples.
    """

    def __init__(self, strategy: str, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._is_clipped = strategy == "clip"
        self._meter = (_RmsMeter if strategy == "rms" else _LoudnessMeter)(sample_rate_hz)
        self._limiter = _StreamLimiter(sample_rate_hz)
        self._gain_db: float | None = None
        self._rest: Samples = np.zeros((1, 0), np.float32)  # without a limiter there is no delay

    def push(self, samples: Samples) -> Samples:
        """Take samples [C, n], and return the normalized samples that are final."""
        if self._is_clipped:
            ceiling, self._rest = to_gain(CLIP_DBFS), samples[:, :0]
            return np.clip(samples, -ceiling, ceiling)
        self._meter.push(samples)
        return self._limiter.push(samples * self._gains(samples.shape[1]))

    def finish(self) -> Samples:
        """Return the rest of the samples."""
        return self._rest if self._is_clipped else self._limiter.finish()

    def _gains(self, count: int) -> Samples:
        """Return the gain of each sample, [n], from the last gain towards the target in dB."""
        target_db = self._meter.gain_db()
        if target_db is None:  # silence so far
            return np.full(count, to_gain(self._gain_db or 0.0), np.float32)
        if self._gain_db is None:
            self._gain_db = min(target_db, MAX_FIRST_GAIN_DB)
        max_change_db = SLEW_DB_PER_S * count / self._rate_hz
        change_db = max(-max_change_db, min(max_change_db, target_db - self._gain_db))
        end_db = self._gain_db + change_db
        curve_db = np.linspace(self._gain_db, end_db, count)
        self._gain_db = end_db
        return np.asarray(10.0 ** (curve_db / 20.0), np.float32)


class _LoudnessMeter:
    """Measures the integrated loudness of a stream, from the energies of hops of 0.1 s."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._before: Samples | None = None  # the filters' memory, and less than one hop
        self._unused = 0
        self._energies: list[float] = []
        self._squares, self._count = 0.0, 0

    def push(self, samples: Samples) -> None:
        mixed = to_channels(Waveform(samples, self._rate_hz), min(samples.shape[0], 2)).samples
        self._squares += float(np.square(samples, dtype=np.float64).sum())
        self._count += samples.size
        memory = int(MEMORY_S * self._rate_hz)
        if self._before is None:
            self._before = np.zeros((mixed.shape[0], memory), np.float32)
        known = np.concatenate([self._before, mixed], axis=1)
        self._unused += mixed.shape[1]
        energies, used = hop_energies(known.astype(np.float64), self._rate_hz, self._unused)
        self._energies += energies
        self._unused -= used
        self._before = known[:, -(memory + self._unused) :]

    def gain_db(self) -> float | None:
        """Return the gain to the target loudness; None for silence."""
        if self._count == 0 or math.sqrt(self._squares / self._count) < QUIET_RMS:
            return None
        found = gated_lufs(self._energies)
        return TARGET_LUFS - found if math.isfinite(found) else None


class _RmsMeter:
    """Measures the RMS of the mono mix of a stream."""

    def __init__(self, _: int) -> None:
        self._squares, self._count = 0.0, 0

    def push(self, samples: Samples) -> None:
        mono = samples.mean(axis=0, dtype=np.float64)
        self._squares += float(np.square(mono).sum())
        self._count += mono.size

    def gain_db(self) -> float | None:
        found = math.sqrt(self._squares / self._count) if self._count else 0.0
        return RMS_DBFS - to_db(found) if found > QUIET_RMS else None


class _StreamLimiter:
    """Runs `limiter.limit` on a stream, with all samples that a gain depends on."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._ahead = round(2 * LOOKAHEAD_S * sample_rate_hz)
        self._history = round(_RELEASED_S * sample_rate_hz)
        self._known: Samples | None = None  # returned samples, followed by delayed ones
        self._delayed = 0

    def push(self, samples: Samples) -> Samples:
        return self._limited(samples, self._ahead)

    def finish(self) -> Samples:
        if self._known is None:  # nothing was pushed
            return np.zeros((1, 0), np.float32)
        return self._limited(self._known[:, :0], 0)

    def _limited(self, samples: Samples, ahead: int) -> Samples:
        """Limit new samples, and return those up to `ahead` samples before the end."""
        known = samples if self._known is None else np.concatenate([self._known, samples], axis=1)
        start = known.shape[1] - samples.shape[1] - self._delayed
        end = max(start, known.shape[1] - ahead)
        limited = limit(known, self._rate_hz, PEAK_DBFS)[:, start:end]
        self._delayed = known.shape[1] - end
        self._known = known[:, -(self._history + self._delayed) :]
        return limited
