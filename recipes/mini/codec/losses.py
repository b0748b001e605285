"""What the codec is trained and judged by. Audio is [B, N] at 32 kHz, full scale +-1."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from toccata.analysis.spectrum import magnitudes, mel_bank

MEL_SCALES = ((512, 128, 48), (1024, 256, 80), (2048, 512, 96))  # n_fft, hop, bands
FLOOR = 1e-3
_PATCH = (4, 8)  # bands, frames


def log_mel(audio: Tensor, n_fft: int, hop: int, bands: int) -> Tensor:
    """[B, N] to log10 mel magnitudes [B, bands, frames]."""
    return _bins(mel(audio, n_fft, hop, bands))


def mel(audio: Tensor, n_fft: int, hop: int, bands: int) -> Tensor:
    """[B, N] to mel magnitudes [B, bands, frames]."""
    bank = mel_bank(n_fft, bands).to(audio.device)
    return (magnitudes(audio, n_fft, hop).transpose(1, 2) @ bank).transpose(1, 2)


def spectral_losses(output: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over scales of the L1 of log10 mel magnitudes, bin by bin and by the energy of patches.

    A decoder that minimises the first alone, or a waveform's distance, sounds dull: the best guess
    for a bin that cannot be predicted is too quiet. The energy of a patch can be predicted.
    """
    pairs = [(mel(output, *scale), mel(real, *scale)) for scale in MEL_SCALES]
    by_bin = [F.l1_loss(_bins(one), _bins(other)) for one, other in pairs]
    by_patch = [F.l1_loss(_patches(one), _patches(other)) for one, other in pairs]
    return torch.stack(by_bin).mean(), torch.stack(by_patch).mean()


def _bins(mel: Tensor) -> Tensor:
    return mel.clamp(min=FLOOR).log10()


def _patches(mel: Tensor) -> Tensor:
    """Mel magnitudes [B, bands, frames] to log10 RMS of patches."""
    power = F.avg_pool2d(mel.square(), _PATCH, (_PATCH[0], _PATCH[1] // 2))
    return 0.5 * power.clamp(min=FLOOR**2).log10()


def si_sdr_db(output: Tensor, real: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio [B] in dB (Le Roux et al. 2019)."""
    scale = (output * real).sum(-1, keepdim=True) / real.square().sum(-1, keepdim=True).clamp(1e-8)
    target = scale * real
    noise = output - target
    return 10 * torch.log10(
        target.square().sum(-1).clamp(1e-12) / noise.square().sum(-1).clamp(1e-12)
    )
