"""Melody conditioning by chroma: the strongest pitch class of each frame (Copet et al. 2023, 3.2).

The filters follow Ellis (2007), "Chroma feature analysis and synthesis", with the constants with
which the published checkpoints were trained. With other constants, a model follows melodies less,
without any error.
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
    """The parameters of chroma features.

    Attributes:
        sample_rate_hz: The rate of the melody's samples.
        bins: The number of pitch classes.
        window: The length of the Fourier transform in samples.
        hop: The distance of frames in samples.
        frames: The number of frames P of a training segment.
        stems: Whether drums and bass are removed first, as in the training of the published models.

    Raises:
        CheckpointError: If a number is out of range.
    """

    sample_rate_hz: int = 32000
    bins: int = 12
    window: int = 16384
    hop: int = 4096
    frames: int = 235
    stems: bool = True

    def __post_init__(self) -> None:
        check_limits(self)

    @property
    def step_features(self) -> int:
        """The width of the output of `step_rows`."""
        return 1 + len(STEP_OFFSETS) * self.bins

    @property
    def samples_needed(self) -> int:
        """The number of samples that the P frames depend on."""
        return (self.frames - 1) * self.hop + self.window // 2


def melody_rows(samples: Tensor, config: ChromaConfig) -> Tensor:
    """Compute the chroma of a melody, repeated or cut to P frames.

    Args:
        samples: Mono, [N], at `config.sample_rate_hz`.
        config: The parameters.

    Returns:
        One-hot [P, bins] float32.
    """
    rows = chroma(samples[: config.samples_needed], config)
    repeats = math.ceil(config.frames / rows.shape[0])
    return rows.repeat(repeats, 1)[: config.frames]


def step_rows(rows: Tensor, config: ChromaConfig, steps: int, rate_hz: float) -> Tensor:
    """Resample chroma to steps, for per-step conditioning.

    Args:
        rows: The chroma of a melody, [..., P, bins].
        config: Its parameters.
        steps: The number of steps S.
        rate_hz: Steps per second.

    Returns:
        [..., S, step_features]: 1, and the chroma before, at and after the step.
    """
    rows_per_step = config.sample_rate_hz / rate_hz / config.hop
    at = (torch.arange(steps) * rows_per_step).round().long()
    near = [rows[..., (at + offset).clamp(0, rows.shape[-2] - 1), :] for offset in STEP_OFFSETS]
    return torch.cat([torch.ones_like(near[0][..., :1]), *near], dim=-1)


def unconditional_rows(config: ChromaConfig) -> Tensor:
    """Return the rows [P, bins] for no melody: C in every frame, as the chroma of silence."""
    return _one_hot(torch.zeros(config.frames, dtype=torch.int64), config.bins)


def chroma(samples: Tensor, config: ChromaConfig) -> Tensor:
    """Compute chroma: mono samples [N] -> one-hot [max(N, window) // hop + 1, bins] float32."""
    padded = _pad_to_window(samples.float().cpu(), config.window)
    window = torch.hann_window(config.window)
    spectrum = torch.stft(
        padded, config.window, config.hop, window=window, pad_mode="reflect", return_complex=True
    )
    power = (spectrum / window.square().sum().sqrt()).abs().square()
    # audiocraft first divides each frame by its maximum, which does not change the argmax.
    loudest = (filters(config) @ power).argmax(dim=0)
    return _one_hot(loudest, config.bins)


def filters(config: ChromaConfig) -> Tensor:
    """Compute the weight of each FFT bin for each pitch class, [bins, window / 2 + 1] float32."""
    pitch = _fft_pitches(config)
    width = np.append(np.maximum(np.diff(pitch), 1.0), 1.0)
    classes = np.arange(config.bins)[:, None]
    half = round(config.bins / 2)
    distance = np.remainder(pitch - classes + half + 10 * config.bins, config.bins) - half
    bumps = np.exp(-0.5 * (2.0 * distance / width) ** 2)
    bumps /= np.linalg.norm(bumps, axis=0)
    bumps *= np.exp(-0.5 * ((pitch / config.bins - CENTRE_OCTAVE) / OCTAVE_WIDTH) ** 2)
    # Pitches are counted from A, but row 0 is C.
    from_c = np.roll(bumps, -BINS_FROM_A_TO_C * (config.bins // 12), axis=0)
    return torch.from_numpy(from_c[:, : config.window // 2 + 1].astype(np.float32))


def mono(waveform: Waveform, sample_rate_hz: int) -> Waveform:
    """Mix to one channel [1, N] and resample; stereo becomes the louder of sum and difference."""
    from toccata.audio.transforms import resample, to_model_channels

    return resample(to_model_channels(waveform, 1), sample_rate_hz)


def cut(waveform: Waveform, duration_s: float) -> Waveform:
    """Return the first `duration_s` of a waveform, or all of a shorter one."""
    length = math.ceil(duration_s * waveform.sample_rate_hz)
    return Waveform(waveform.samples[:, :length], waveform.sample_rate_hz)


def wrapped(waveform: Waveform, start_s: float, duration_s: float) -> Waveform:
    """Return `duration_s` from `start_s` on of a waveform that is repeated without end.

    Each window of a clip that has several follows its own part of the melody, as in audiocraft's
    `MusicGen._generate_tokens`.
    """
    start, length = (round(s * waveform.sample_rate_hz) for s in (start_s, duration_s))
    positions = np.arange(start, start + length) % waveform.samples.shape[1]
    return Waveform(waveform.samples[:, positions], waveform.sample_rate_hz)


def _fft_pitches(config: ChromaConfig) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the pitch of each FFT bin in pitch classes above A0; bin 0 is put far below bin 1."""
    frequency_hz = np.linspace(0, config.sample_rate_hz, config.window, endpoint=False)[1:]
    pitch = config.bins * np.log2(frequency_hz / A0_HZ)
    return np.concatenate([[pitch[0] - 1.5 * config.bins], pitch])


def _pad_to_window(samples: Tensor, window: int) -> Tensor:
    missing = max(window - samples.shape[0], 0)
    return F.pad(samples, (missing // 2, missing - missing // 2))


def _one_hot(index: Tensor, bins: int) -> Tensor:
    return F.one_hot(index, bins).float()
