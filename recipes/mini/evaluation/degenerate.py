"""Detect degenerate clips: silent, clipped, or looping on one sound."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import torch
import torch.nn.functional as F

from recipes.mini.evaluation.drum_detection import has_drums
from toccata.analysis.spectrum import (
    FRAMES_PER_SECOND,
    RATE_HZ,
    Samples,
    analysis_audio,
    mel_frames,
)
from toccata.evaluation.chroma import SILENT, loudest_classes

SILENCE_RMS = 3e-3  # -50 dBFS
SILENT_SHARE = 0.5
FULL_SCALE = 0.999
CLIPPED_SHARE = 1e-3
# Neighbouring blocks of the corpus are this alike at most 40 % of the time.
ALIKE = 0.99
STUCK_SHARE = 0.8
ONE_NOTE_SHARE = 0.97
_BLOCK_S = 0.25
_BANDS = 64


@dataclass(frozen=True)
class Defects:
    """The defects of a clip.

    silent: half of it or more is below -50 dBFS. clipped: one sample in a thousand is at full
    scale. looping: nearly every quarter of a second is like the one before it, or one pitch class
    is the loudest nearly all the time, without drums.
    """

    silent: bool
    clipped: bool
    looping: bool

    @property
    def any(self) -> bool:
        """Whether the clip is degenerate."""
        return any(astuple(self))


def find_defects(samples: Samples, sample_rate_hz: int) -> Defects:
    """Examine samples [N] or [C, N], full scale at +-1, of at least a second."""
    audio = analysis_audio(samples, sample_rate_hz)
    block = round(_BLOCK_S * RATE_HZ)
    rms = audio[: len(audio) // block * block].view(-1, block).square().mean(1).sqrt()
    at_full_scale = abs(samples) >= FULL_SCALE
    return Defects(
        silent=bool((rms < SILENCE_RMS).float().mean() >= SILENT_SHARE),
        clipped=bool(at_full_scale.mean() >= CLIPPED_SHARE),
        looping=_is_one_sound(audio) or _is_one_note(samples, sample_rate_hz),
    )


def _is_one_sound(audio: torch.Tensor) -> bool:
    return float((_likeness(audio) >= ALIKE).float().mean()) >= STUCK_SHARE


def _is_one_note(samples: Samples, sample_rate_hz: int) -> bool:
    """Whether one pitch class is held or repeated; a groove over a pedal note is music."""
    classes = loudest_classes(samples, sample_rate_hz)
    classes = classes[classes != SILENT]
    if not len(classes) or has_drums(samples, sample_rate_hz):
        return False
    return float((classes == classes.mode().values).float().mean()) >= ONE_NOTE_SHARE


def _likeness(audio: torch.Tensor) -> torch.Tensor:
    """Cosine between the spectra of consecutive blocks."""
    frames = round(_BLOCK_S * FRAMES_PER_SECOND)
    mel = mel_frames(audio, _BANDS)
    blocks = mel[:, : mel.shape[1] // frames * frames].view(_BANDS, -1, frames).mean(-1)
    return F.cosine_similarity(blocks[:, 1:], blocks[:, :-1], dim=0)
