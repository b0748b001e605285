"""Spectra of mono audio at one rate, which all measures of this package share."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from toccata.audio.transforms import resample, to_channels
from toccata.audio.waveform import Waveform

Samples = NDArray[np.float32]

RATE_HZ = 32_000
FRAMES_PER_SECOND = 100
_HOP = RATE_HZ // FRAMES_PER_SECOND
_N_FFT = 1024
_SHORTEST = 16_384  # half a second: what the widest window of a measure needs


def heard(samples: Samples, sample_rate_hz: int) -> Tensor:
    """Samples [N] or [C, N] at any rate to mono [N'] at RATE_HZ, padded to half a second."""
    given = Waveform(np.atleast_2d(np.asarray(samples, np.float32)), sample_rate_hz)
    mono = resample(to_channels(given, 1), RATE_HZ).samples[0]
    return F.pad(torch.from_numpy(mono), (0, max(0, _SHORTEST - mono.shape[0])))


def mel_frames(audio: Tensor, bands: int) -> Tensor:
    """Mono [N] at RATE_HZ to mel magnitudes [bands, T], FRAMES_PER_SECOND of them."""
    spectrum = magnitudes(audio[None], _N_FFT, _HOP)[0]
    return mel_bank(_N_FFT, bands, RATE_HZ).T @ spectrum


def spectrum_frames(audio: Tensor) -> tuple[Tensor, Tensor]:
    """Mono [N] at RATE_HZ to power [bins, T], and the frequency of each bin in Hz."""
    power = magnitudes(audio[None], _N_FFT, _HOP)[0].square()
    return power, torch.linspace(0, RATE_HZ / 2, power.shape[0])


def mel_centres_hz(bands: int) -> Tensor:
    """Where each band of `mel_frames` has its peak."""
    bank = mel_bank(_N_FFT, bands, RATE_HZ)
    return bank.argmax(0) * (RATE_HZ / _N_FFT)


@cache
def mel_bank(n_fft: int, bands: int, sample_rate_hz: int = 32000) -> Tensor:
    """Triangular mel filters [n_fft // 2 + 1, bands] (O'Shaughnessy's formula), unit peak."""
    top = 2595 * math.log10(1 + sample_rate_hz / 2 / 700)
    edges_hz = 700 * (10 ** (torch.linspace(0, top, bands + 2) / 2595) - 1)
    bins_hz = torch.linspace(0, sample_rate_hz / 2, n_fft // 2 + 1)[:, None]
    low, centre, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising = (bins_hz - low) / (centre - low)
    falling = (high - bins_hz) / (high - centre)
    return torch.minimum(rising, falling).clamp(min=0)


def magnitudes(audio: Tensor, n_fft: int, hop: int) -> Tensor:
    """[B, N] to magnitudes [B, bins, frames], scaled so that a full-scale sine is about 1."""
    window = torch.hann_window(n_fft, device=audio.device)
    spectrum = torch.stft(audio, n_fft, hop, window=window, return_complex=True)
    power = spectrum.real.square() + spectrum.imag.square()
    return (power + 1e-9).sqrt() * (2 / n_fft)
