"""Tempo conditioning: a metronome, added at every step.

A tempo that the prompt names becomes, frame by frame, where in the beat, the bar and the phrase
the music is. These rows are added to the codes' embeddings, one to a step (the `sum` way of fusing
a condition; Copet et al. 2023 prepend theirs). A model that only reads "80 bpm" has to count
frames, which small ones never learn.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

# In beats: a sixteenth, an eighth, a beat; bars and phrases in two, in four and in three.
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
    """A steady beat of `bpm`; a bar starts at `bar_s` seconds, before or after the clip's start."""

    bpm: float
    bar_s: float = 0.0


def named_beats(prompt: str | None) -> Beats | None:
    """The beats of the first tempo that a prompt names, from the clip's start; None without one."""
    for match in _TEMPO.finditer(prompt or ""):
        bpm = float(match[1] or match[2])
        if SLOWEST_BPM <= bpm <= FASTEST_BPM:
            return Beats(bpm)
    return None


def beat_rows(beats: Beats, first_frame: int, frames: int, frame_rate_hz: float) -> Tensor:
    """[frames, FEATURES] float32: 1, then for every period the cosine and sine of where the frame
    is in it, and 1 in the frame on which it starts.
    """
    at = torch.arange(first_frame, first_frame + frames, dtype=torch.float64)[:, None]
    bar = beats.bar_s * frame_rate_hz
    period = torch.tensor(PERIODS, dtype=torch.float64) * frame_rate_hz * 60 / beats.bpm
    turns = (at - bar) / period
    starts = (bar + turns.round() * period).round() == at
    angle = 2 * torch.pi * turns
    rows = [torch.ones_like(at), angle.cos(), angle.sin(), starts.double()]
    return torch.cat(rows, dim=-1).float()
