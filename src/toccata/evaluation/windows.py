"""Mono windows of a clip, at the rate and length of a network."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from toccata.audio.transforms import Samples, resample, to_channels
from toccata.audio.waveform import Waveform


def mono(samples: Samples, sample_rate_hz: int, wanted_hz: int) -> Tensor:
    """Samples [N] or [C, N] at any rate to [N'] float32 at `wanted_hz`."""
    given = Waveform(np.atleast_2d(np.asarray(samples, np.float32)), sample_rate_hz)
    return torch.from_numpy(resample(to_channels(given, 1), wanted_hz).samples[0].copy())


def windows(audio: Tensor, length: int, hop: int) -> Tensor:
    """The whole windows of [N], one every `hop` samples: [W, length]; all of a shorter clip [1, N].

    What is left at the end is in no window.
    """
    return audio[None] if len(audio) < length else audio.unfold(0, length, hop)
