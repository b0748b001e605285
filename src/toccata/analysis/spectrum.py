"""Spectra of mono audio at one rate, which all estimators of this package share."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from toccata.audio.mel import mel_filters
from toccata.audio.transforms import resample, to_channels
from toccata.audio.waveform import Waveform

Samples = NDArray[np.float32]

RATE_HZ = 32_000
FRAMES_PER_SECOND = 100
_HOP = RATE_HZ // FRAMES_PER_SECOND
_N_FFT = 1024
_SHORTEST = 16_384  # half a second: the widest window of an estimator


def to_mono(samples: Samples, sample_rate_hz: int, to_rate_hz: int) -> Tensor:
    """Mix samples to one channel and resample them.

    Args:
        samples: [N] or [C, N], full scale at 1.
        sample_rate_hz: Their rate.
        to_rate_hz: The rate of the result.

    Returns:
        Samples [N'], float32; never a view of `samples`.
    """
    waveform = Waveform(np.atleast_2d(np.asarray(samples, np.float32)), sample_rate_hz)
    return torch.from_numpy(resample(to_channels(waveform, 1), to_rate_hz).samples[0].copy())


def analysis_audio(samples: Samples, sample_rate_hz: int) -> Tensor:
    """Convert samples [N] or [C, N] to mono [N'] at RATE_HZ, padded to half a second."""
    mono = to_mono(samples, sample_rate_hz, RATE_HZ)
    return F.pad(mono, (0, max(0, _SHORTEST - len(mono))))


def mel_frames(audio: Tensor, bands: int) -> Tensor:
    """Mel magnitudes [bands, T] of mono audio [N] at RATE_HZ, FRAMES_PER_SECOND a second."""
    spectrum = magnitudes(audio[None], _N_FFT, _HOP)[0]
    return mel_bank(_N_FFT, bands, RATE_HZ).T @ spectrum


def spectrum_frames(audio: Tensor) -> tuple[Tensor, Tensor]:
    """The power [bins, T] of mono audio [N] at RATE_HZ, and the frequency of each bin in Hz."""
    power = magnitudes(audio[None], _N_FFT, _HOP)[0].square()
    return power, torch.linspace(0, RATE_HZ / 2, power.shape[0])


def mel_centres_hz(bands: int) -> Tensor:
    """The frequency of the peak of each band of `mel_frames` [bands]."""
    bank = mel_bank(_N_FFT, bands, RATE_HZ)
    return bank.argmax(0) * (RATE_HZ / _N_FFT)


@cache
def mel_bank(n_fft: int, bands: int, sample_rate_hz: int = RATE_HZ) -> Tensor:
    """Triangular mel filters [n_fft // 2 + 1, bands] with straight sides in Hz and unit peaks.

    The networks of the package were trained with them.
    """
    filters = mel_filters(n_fft, bands, sample_rate_hz, straight_in="hz")
    return torch.from_numpy(filters.T.copy())


def magnitudes(audio: Tensor, n_fft: int, hop: int) -> Tensor:
    """STFT magnitudes of audio, scaled so that those of a full-scale sine are about 1.

    Args:
        audio: [B, N].
        n_fft: Samples of a window.
        hop: Samples from window to window.

    Returns:
        Magnitudes [B, n_fft // 2 + 1, T].
    """
    window = torch.hann_window(n_fft, device=audio.device)
    spectrum = torch.stft(audio, n_fft, hop, window=window, return_complex=True)
    power = spectrum.real.square() + spectrum.imag.square()
    return (power + 1e-9).sqrt() * (2 / n_fft)
