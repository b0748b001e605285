"""What every measure hears: mono at one rate, so that its constants in Hz and seconds hold."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from toccata.audio.waveform import resample, to_channels
from toccata.training.losses import magnitudes, mel_bank
from toccata.types import Waveform

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
