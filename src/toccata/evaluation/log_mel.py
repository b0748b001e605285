"""The log-mel front end of VGGish."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from toccata.audio.mel import mel_filters
from toccata.evaluation.embedders import windows

RATE_HZ = 16_000
FRAME, HOP, N_FFT, BANDS = 400, 160, 512, 64
LOWEST_HZ, HIGHEST_HZ = 125.0, 7500.0
LOG_OFFSET = 0.01
WINDOW_FRAMES = 96
# A window is the beginning of a slice of a second; slices are half a second apart.
SLICE, STEP = RATE_HZ, RATE_HZ // 2
MAX_GAIN = 10.0


def slices(audio: Tensor) -> Tensor:
    """Cut mono audio [N] at 16 kHz as FAD's reference code does: [W, SLICE], W at least 1."""
    audio = F.pad(audio, (0, max(0, SLICE - len(audio))))
    # By the highest sample, not the largest magnitude, as in the published distances.
    return windows(audio / max(float(audio.max()), 1 / MAX_GAIN), SLICE, STEP)


def examples(clips: Tensor) -> Tensor:
    """The input of VGGish [W, WINDOW_FRAMES, BANDS] from slices [W, SLICE]."""
    return log_mel(clips)[:, :WINDOW_FRAMES]


def log_mel(audio: Tensor) -> Tensor:
    """Log mel magnitudes [..., T, BANDS] of audio [..., N] at 16 kHz.

    Frames of 25 ms every 10 ms, without padding.
    """
    frames = audio.unfold(-1, FRAME, HOP) * torch.hann_window(FRAME)
    size = torch.fft.rfft(frames, n=N_FFT).abs()
    return torch.log(size @ mel_bank() + LOG_OFFSET)


@cache
def mel_bank() -> Tensor:
    """VGGish's mel filters [257, 64]; the constant part is left out."""
    filters = mel_filters(N_FFT, BANDS, RATE_HZ, low_hz=LOWEST_HZ, high_hz=HIGHEST_HZ)
    bank = torch.from_numpy(filters.T.copy())
    bank[0] = 0
    return bank
