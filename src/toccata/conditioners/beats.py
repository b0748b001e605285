"""Beat conditioning: the phase of each frame in the beat, the bar and the phrase.

The features of each frame are added to the codes' embeddings of a step (audiocraft's fuser "sum";
Copet et al. 2023 use prefix conditioning). With the text "80 bpm" alone, a model must learn to
count frames, which small models do not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

# In beats: a sixteenth, an eighth, a beat; bars and phrases of two, four and three beats.
PERIODS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 3.0, 12.0)
FEATURES = 3 * len(PERIODS) + 1
SLOWEST_BPM, FASTEST_BPM = 30.0, 300.0

_NUMBER = r"(?<![\d.])(\d{2,3}(?:\.\d+)?)"
_TEMPO = re.compile(
    rf"{_NUMBER}\s*-?\s*(?:bpm|b\.p\.m|b\w+ (?:per|a) m\w+)"
    rf"|\b(?:bpm|tempo)(?:\s+of|\s+is)?\s*[:=]?\s*{_NUMBER}(?!\.?\d)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Beats:
    """A steady beat.

    Attributes:
        bpm: Beats per minute.
        bar_s: The time in seconds at which a bar starts; it may be outside of the clip.
    """

    bpm: float
    bar_s: float = 0.0


def named_beats(prompt: str | None) -> Beats | None:
    """Parse the first tempo that a prompt names, such as "80 bpm"; None if it names none."""
    for match in _TEMPO.finditer(prompt or ""):
        bpm = float(match[1] or match[2])
        if SLOWEST_BPM <= bpm <= FASTEST_BPM:
            return Beats(bpm)
    return None


def beat_rows(beats: Beats, first_frame: int, frames: int, frame_rate_hz: float) -> Tensor:
    """Compute the features of each frame.

    Args:
        beats: The beat.
        first_frame: The first frame, counted from the start of the clip.
        frames: The number of frames, T.
        frame_rate_hz: Frames per second.

    Returns:
        [T, FEATURES] float32: 1, and for every period the cosine and the sine of the phase, and 1
        in the frame at which it starts.
    """
    at = torch.arange(first_frame, first_frame + frames, dtype=torch.float64)[:, None]
    bar = beats.bar_s * frame_rate_hz
    period = torch.tensor(PERIODS, dtype=torch.float64) * frame_rate_hz * 60 / beats.bpm
    cycles = (at - bar) / period
    starts = (bar + cycles.round() * period).round() == at
    angle = 2 * torch.pi * cycles
    rows = [torch.ones_like(at), angle.cos(), angle.sin(), starts.double()]
    return torch.cat(rows, dim=-1).float()
