"""Chroma agreement: how well a clip follows a melody."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from toccata.analysis.spectrum import RATE_HZ, Samples, heard
from toccata.conditioners.chroma import ChromaConfig, chroma

SILENT = -1
_SILENCE_RMS = 1e-3  # -60 dB
_CHROMA = ChromaConfig(sample_rate_hz=RATE_HZ, stems=False)


def loudest_classes(samples: Samples, sample_rate_hz: int) -> Tensor:
    """The loudest pitch class of each frame of 128 ms [F], as melodies are conditioned on.

    Samples [N] or [C, N]. SILENT where there is nothing to hear.
    """
    audio = heard(samples, sample_rate_hz)
    classes = chroma(audio, _CHROMA).argmax(-1)
    half = _CHROMA.window // 2
    padded = F.pad(audio.square()[None], (half, half))
    rms = F.avg_pool1d(padded, _CHROMA.window, _CHROMA.hop)[0].sqrt()
    return classes.masked_fill(rms[: len(classes)] < _SILENCE_RMS, SILENT)


def chroma_agreement(made: Tensor, melody: Tensor) -> float:
    """The share of a melody's sounding frames whose loudest class is also that of what was made.

    Both from `loudest_classes`; the shorter one ends the comparison. Music in an unrelated key
    reaches 1/12 to 0.2.
    """
    frames = min(len(made), len(melody))
    sounding = melody[:frames] != SILENT
    if not sounding.any():
        return 0.0
    return float((made[:frames] == melody[:frames])[sounding].float().mean())
