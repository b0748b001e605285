"""Melody conditioning: the strongest pitch class of each frame.

The filters follow Ellis (2007), "Chroma feature analysis and synthesis", with the constants that
the published checkpoints were trained with: changing any of them silently unties the music from
the melody.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from toccata.audio.waveform import Waveform
from toccata.config_limits import check_limits

A0_HZ = 27.5
CENTRE_OCTAVE = 5.0
OCTAVE_WIDTH = 2.0
BINS_FROM_A_TO_C = 3
STEP_OFFSETS = (-1, 0, 1)


@dataclass(frozen=True)
class ChromaConfig:
    """How a melody becomes rows of the prefix.

    window and hop are in samples; frames is P, what the training segment has; stems: drop drums
    and bass first, as the published models were trained.
    """

    sample_rate_hz: int = 32000
    bins: int = 12
    window: int = 16384
    hop: int = 4096
    frames: int = 235
    stems: bool = True

    def __post_init__(self) -> None:
        """Raises CheckpointError for numbers that are not supported."""
        check_limits(self)

    @property
    def step_features(self) -> int:
        """The width of `step_rows`."""
        return 1 + len(STEP_OFFSETS) * self.bins

    @property
    def samples_needed(self) -> int:
        """Input past this many samples reaches no frame that is kept."""
        return (self.frames - 1) * self.hop + self.window // 2


def melody_rows(samples: Tensor, config: ChromaConfig) -> Tensor:
    """Mono samples [N] at the model's rate -> one-hot [P, bins], repeated or cut to P frames."""
    rows = chroma(samples[: config.samples_needed], config)
    repeats = math.ceil(config.frames / rows.shape[0])
    return rows.repeat(repeats, 1)[: config.frames]


def step_rows(rows: Tensor, config: ChromaConfig, steps: int, rate_hz: float) -> Tensor:
    """A melody's rows [..., P, bins] for each of `steps` at `rate_hz`: [..., steps, step_features].

    1, then the row before, at and after the step.
    """
    rows_per_step = config.sample_rate_hz / rate_hz / config.hop
    at = (torch.arange(steps) * rows_per_step).round().long()
    near = [rows[..., (at + offset).clamp(0, rows.shape[-2] - 1), :] for offset in STEP_OFFSETS]
    return torch.cat([torch.ones_like(near[0][..., :1]), *near], dim=-1)


def unconditional_rows(config: ChromaConfig) -> Tensor:
    """No melody [P, bins]: C in every frame, which is where silence has its maximum."""
    return _one_hot(torch.zeros(config.frames, dtype=torch.int64), config.bins)


def chroma(samples: Tensor, config: ChromaConfig) -> Tensor:
    """Mono samples [N] -> one-hot [max(N, window) // hop + 1, bins] float32."""
    padded = _pad_to_window(samples.float().cpu(), config.window)
    window = torch.hann_window(config.window)
    spectrum = torch.stft(
        padded, config.window, config.hop, window=window, pad_mode="reflect", return_complex=True
    )
    power = (spectrum / window.square().sum().sqrt()).abs().square()
    # The references divide each frame by its maximum first; that does not move the maximum.
    loudest = (filters(config) @ power).argmax(dim=0)
    return _one_hot(loudest, config.bins)


def filters(config: ChromaConfig) -> Tensor:
    """How much each FFT bin counts for each pitch class: [bins, window / 2 + 1] float32."""
    pitch = _fft_pitches(config)
    width = np.append(np.maximum(np.diff(pitch), 1.0), 1.0)
    classes = np.arange(config.bins)[:, None]
    half = round(config.bins / 2)
    distance = np.remainder(pitch - classes + half + 10 * config.bins, config.bins) - half
    bumps = np.exp(-0.5 * (2.0 * distance / width) ** 2)
    bumps /= np.linalg.norm(bumps, axis=0)
    bumps *= np.exp(-0.5 * ((pitch / config.bins - CENTRE_OCTAVE) / OCTAVE_WIDTH) ** 2)
    # Pitches were counted from A; row 0 is C.
    from_c = np.roll(bumps, -BINS_FROM_A_TO_C * (config.bins // 12), axis=0)
    return torch.from_numpy(from_c[:, : config.window // 2 + 1].astype(np.float32))


def mono(waveform: Waveform, sample_rate_hz: int) -> Waveform:
    """One channel [1, N], resampled; of stereo the louder of sum and difference."""
    from toccata.audio.transforms import resample, to_model_channels

    return resample(to_model_channels(waveform, 1), sample_rate_hz)


def cut(waveform: Waveform, duration_s: float) -> Waveform:
    """At most the first `duration_s` of it."""
    length = math.ceil(duration_s * waveform.sample_rate_hz)
    return Waveform(waveform.samples[:, :length], waveform.sample_rate_hz)


def wrapped(waveform: Waveform, start_s: float, duration_s: float) -> Waveform:
    """`duration_s` from `start_s` on, of the waveform repeated without end.

    This is what one window of a clip hears that is longer than a window (audiocraft's
    `MusicGen._generate_tokens`), so that each window goes on in the melody where the last left it.
    """
    start, length = (round(s * waveform.sample_rate_hz) for s in (start_s, duration_s))
    positions = np.arange(start, start + length) % waveform.samples.shape[1]
    return Waveform(waveform.samples[:, positions], waveform.sample_rate_hz)


def _fft_pitches(config: ChromaConfig) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Pitch of each FFT bin in pitch classes above A0; bin 0, which has none, far below bin 1."""
    frequency_hz = np.linspace(0, config.sample_rate_hz, config.window, endpoint=False)[1:]
    pitch = config.bins * np.log2(frequency_hz / A0_HZ)
    return np.concatenate([[pitch[0] - 1.5 * config.bins], pitch])


def _pad_to_window(samples: Tensor, window: int) -> Tensor:
    missing = max(window - samples.shape[0], 0)
    return F.pad(samples, (missing // 2, missing - missing // 2))


def _one_hot(index: Tensor, bins: int) -> Tensor:
    return F.one_hot(index, bins).float()
