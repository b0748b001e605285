"""The log-mel front end of VGGish."""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from toccata.evaluation.windows import windows

RATE_HZ = 16_000
FRAME, HOP, N_FFT, BANDS = 400, 160, 512, 64
LOWEST_HZ, HIGHEST_HZ = 125.0, 7500.0
LOG_OFFSET = 0.01
WINDOW_FRAMES = 96
# A window is the beginning of a slice of a second; slices are half a second apart.
SLICE, STEP = RATE_HZ, RATE_HZ // 2
MAX_GAIN = 10.0


def slices(audio: Tensor) -> Tensor:
    """Mono [N] at 16 kHz to what FAD's reference code cuts out of it [W, SLICE], W at least 1."""
    audio = F.pad(audio, (0, max(0, SLICE - len(audio))))
    # By the highest sample, not the farthest from 0, as the published figures were made.
    return windows(audio / max(float(audio.max()), 1 / MAX_GAIN), SLICE, STEP)


def examples(heard: Tensor) -> Tensor:
    """Slices [W, SLICE] to what VGGish takes of them [W, WINDOW_FRAMES, BANDS]."""
    return log_mel(heard)[:, :WINDOW_FRAMES]


def log_mel(audio: Tensor) -> Tensor:
    """[..., N] at 16 kHz to [..., T, BANDS]: frames of 25 ms every 10 ms, none past the end."""
    frames = audio.unfold(-1, FRAME, HOP) * torch.hann_window(FRAME)
    size = torch.fft.rfft(frames, n=N_FFT).abs()
    return torch.log(size @ mel_bank() + LOG_OFFSET)


@cache
def mel_bank() -> Tensor:
    """[257, 64]: triangles with straight sides in mel, not in Hz; the constant is left out."""
    edges = torch.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), BANDS + 2, dtype=torch.float64)
    bin_hz = RATE_HZ / N_FFT
    mels = [_mel(index * bin_hz) for index in range(N_FFT // 2 + 1)]
    bins = torch.tensor(mels, dtype=torch.float64)[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    sides = torch.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    bank = sides.clamp(min=0)
    bank[0] = 0
    return bank.float()


def _mel(frequency_hz: float) -> float:
    return 1127 * math.log1p(frequency_hz / 700)
