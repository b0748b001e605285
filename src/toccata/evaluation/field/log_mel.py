"""What VGGish hears: AudioSet's log-mel front end, in the windows of FAD's reference code."""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

RATE_HZ = 16_000
FRAME, HOP, N_FFT, BANDS = 400, 160, 512, 64
LOWEST_HZ, HIGHEST_HZ = 125.0, 7500.0
LOG_OFFSET = 0.01
WINDOW_FRAMES, STEP_FRAMES = 96, 50
# A window is the beginning of a slice of a second; slices are half a second apart.
SLICE, STEP = RATE_HZ, RATE_HZ // 2
MOST_GAIN = 10.0


def examples(audio: Tensor) -> Tensor:
    """Mono [N] at 16 kHz to the windows [W, 96, 64] that FAD's reference code makes of it."""
    audio = F.pad(audio, (0, max(0, SLICE - len(audio))))
    # By the highest sample, not the farthest from 0, as the published figures were made.
    audio = audio / max(float(audio.max()), 1 / MOST_GAIN)
    count = (len(audio) - SLICE) // STEP + 1
    return log_mel(audio).unfold(0, WINDOW_FRAMES, STEP_FRAMES)[:count].transpose(1, 2)


def log_mel(audio: Tensor) -> Tensor:
    """Mono [N] at 16 kHz to [T, 64]: frames of 25 ms every 10 ms, none past the end."""
    frames = audio.unfold(0, FRAME, HOP) * torch.hann_window(FRAME)
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
