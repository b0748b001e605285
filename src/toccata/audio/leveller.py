"""Level normalization of a stream whose end is not known yet.

The gain is what would bring all that is known so far to its level, as `loudness.level` does with a
whole clip. It moves slowly, and ends within about a dB of the file's. The limiter is the same.
"""

from __future__ import annotations

import math

import numpy as np

from toccata.audio.limiter import LOOKAHEAD_S, limit
from toccata.audio.loudness import CLIP_DBFS, PEAK_DBFS, QUIET_RMS, RMS_DBFS, TARGET_LUFS
from toccata.audio.meter import MEMORY_S, gated_lufs, hop_energies
from toccata.audio.transforms import Samples, to_channels, to_db, to_gain
from toccata.audio.waveform import Waveform

SLEW_DB_PER_S = 2.0  # slow enough to be no pumping
MAX_FIRST_GAIN_DB = 12.0  # an intro may be soft
_RELEASED_S = 0.6  # the limiter has let go of a peak by then, 36 dB of it


class StreamLeveller:
    """Samples in, samples at their level out, a few milliseconds later.

    Args:
        strategy: loudness, rms or clip, as in `loudness.level`; peak needs the whole clip.
        sample_rate_hz: Of the samples.
    """

    def __init__(self, strategy: str, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._is_clipped = strategy == "clip"
        self._meter = (_RmsMeter if strategy == "rms" else _LoudnessMeter)(sample_rate_hz)
        self._limiter = _StreamLimiter(sample_rate_hz)
        self._gain_db: float | None = None
        self._rest: Samples = np.zeros((1, 0), np.float32)  # without a limiter nothing is held back

    def push(self, samples: Samples) -> Samples:
        """What is complete after samples [C, n]."""
        if self._is_clipped:
            ceiling, self._rest = to_gain(CLIP_DBFS), samples[:, :0]
            return np.clip(samples, -ceiling, ceiling)
        self._meter.push(samples)
        return self._limiter.push(samples * self._gains(samples.shape[1]))

    def finish(self) -> Samples:
        """The rest."""
        return self._rest if self._is_clipped else self._limiter.finish()

    def _gains(self, count: int) -> Samples:
        """[n], from the gain so far to that which suits all that is known, in even steps of dB."""
        wanted_db = self._meter.gain_db()
        if wanted_db is None:  # silence so far
            return np.full(count, to_gain(self._gain_db or 0.0), np.float32)
        if self._gain_db is None:
            self._gain_db = min(wanted_db, MAX_FIRST_GAIN_DB)
        most_db = SLEW_DB_PER_S * count / self._rate_hz
        end_db = self._gain_db + max(-most_db, min(most_db, wanted_db - self._gain_db))
        curve_db = np.linspace(self._gain_db, end_db, count)
        self._gain_db = end_db
        return np.asarray(10.0 ** (curve_db / 20.0), np.float32)


class _LoudnessMeter:
    """Integrated loudness of all that was pushed, from the energies of its tenths of a second."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._before: Samples | None = None  # what the filters remember, and less than a hop
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
        """None for silence, which stays as it is."""
        if self._count == 0 or math.sqrt(self._squares / self._count) < QUIET_RMS:
            return None
        found = gated_lufs(self._energies)
        return TARGET_LUFS - found if math.isfinite(found) else None


class _RmsMeter:
    """The RMS of the mono mix of all that was pushed."""

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
    """`limiter.limit` on a stream: each call sees what the gain of its samples depends on."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._ahead = round(2 * LOOKAHEAD_S * sample_rate_hz)
        self._history = round(_RELEASED_S * sample_rate_hz)
        self._known: Samples | None = None  # what was given out, and then what is held back
        self._held = 0

    def push(self, samples: Samples) -> Samples:
        return self._given_out(samples, self._ahead)

    def finish(self) -> Samples:
        if self._known is None:  # nothing was pushed
            return np.zeros((1, 0), np.float32)
        return self._given_out(self._known[:, :0], 0)

    def _given_out(self, samples: Samples, ahead: int) -> Samples:
        """All that is known up to `ahead` samples before its end."""
        known = samples if self._known is None else np.concatenate([self._known, samples], axis=1)
        start = known.shape[1] - samples.shape[1] - self._held
        end = max(start, known.shape[1] - ahead)
        limited = limit(known, self._rate_hz, PEAK_DBFS)[:, start:end]
        self._held = known.shape[1] - end
        self._known = known[:, -(self._history + self._held) :]
        return limited
