"""What the codec is trained and judged by. Audio is [B, N] at 32 kHz, full scale +-1."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from toccata.hearing.spectrum import magnitudes, mel_bank

MEL_SCALES = ((512, 128, 48), (1024, 256, 80), (2048, 512, 96))  # n_fft, hop, bands
FLOOR = 1e-3


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
