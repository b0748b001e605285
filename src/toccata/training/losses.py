"""What the codec is trained and judged by. Audio is [B, N] at 32 kHz, full scale +-1."""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

MEL_SCALES = ((512, 128, 48), (1024, 256, 80), (2048, 512, 96))  # n_fft, hop, bands
FLOOR = 1e-3


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


def log_mel(audio: Tensor, n_fft: int, hop: int, bands: int) -> Tensor:
    """[B, N] to log10 mel magnitudes [B, bands, frames]."""
    bank = mel_bank(n_fft, bands).to(audio.device)
    mel = magnitudes(audio, n_fft, hop).transpose(1, 2) @ bank
    return torch.log10(mel.clamp(min=FLOOR)).transpose(1, 2)


def spectral_loss(made: Tensor, real: Tensor) -> Tensor:
    """Mean over scales of log-mel L1."""
    losses = [F.l1_loss(log_mel(made, *scale), log_mel(real, *scale)) for scale in MEL_SCALES]
    return torch.stack(losses).mean()


def si_sdr_db(made: Tensor, real: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio [B] in dB (Le Roux et al. 2019)."""
    scale = (made * real).sum(-1, keepdim=True) / real.square().sum(-1, keepdim=True).clamp(1e-8)
    target = scale * real
    noise = made - target
    return 10 * torch.log10(
        target.square().sum(-1).clamp(1e-12) / noise.square().sum(-1).clamp(1e-12)
    )
