"""Chroma agreement: how well a clip follows a melody."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from toccata.analysis.spectrum import RATE_HZ, Samples, analysis_audio
from toccata.conditioners.chroma import ChromaConfig, chroma

SILENT = -1
_SILENCE_RMS = 1e-3  # -60 dB
_CHROMA = ChromaConfig(sample_rate_hz=RATE_HZ, stems=False)


def loudest_classes(samples: Samples, sample_rate_hz: int) -> Tensor:
    """Find the loudest pitch class of each frame, by the chroma of melody conditioning.

    Args:
        samples: [N] or [C, N].
        sample_rate_hz: Their rate.

    Returns:
        Pitch classes of frames of 128 ms [F], C being 0; SILENT below -60 dB.
    """
    audio = analysis_audio(samples, sample_rate_hz)
    classes = chroma(audio, _CHROMA).argmax(-1)
    half = _CHROMA.window // 2
    padded = F.pad(audio.square()[None], (half, half))
    rms = F.avg_pool1d(padded, _CHROMA.window, _CHROMA.hop)[0].sqrt()
    return classes.masked_fill(rms[: len(classes)] < _SILENCE_RMS, SILENT)


def chroma_agreement(clip: Tensor, melody: Tensor) -> float:
    """Compute the share of a melody's sounding frames in which a clip has the same class.

    Music in an unrelated key reaches 1/12 to 0.2.

    Args:
        clip: Pitch classes from `loudest_classes` [F].
        melody: Those of the melody [G]; the longer one is cut.
    """
    frames = min(len(clip), len(melody))
    sounding = melody[:frames] != SILENT
    if not sounding.any():
        return 0.0
    return float((clip[:frames] == melody[:frames])[sounding].float().mean())
