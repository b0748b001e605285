"""Drums conditioning: whether there are drums, added at every step.

Words about drums are a few among many, and a small model hears "no drums" mostly as "drums".
"""

from __future__ import annotations

import re

import torch
from torch import Tensor

FEATURES = 2

_DRUMS = r"(?:the\s+)?(?:drum(?:s|\b|\W*kit|beat)|percussion|beats?\b)"
_NONE = re.compile(
    rf"\b(?:no|zero|without|minus|sans|leave\s+out)\s+(?:any\s+)?{_DRUMS}"
    r"|\b(?:drum|beat)-?less\b|\bdrums?\s+off\b",
    re.IGNORECASE,
)
# "Drum and bass" is a kind of music.
_SOME = re.compile(
    r"\b(?:drum(?!\s*(?:and|&|\+|'?n'?)\s*bass)|percussion|brushes\b)", re.IGNORECASE
)


def named_drums(prompt: str | None) -> bool | None:
    """Whether a prompt asks for drums or for none; None if it says nothing of them."""
    if _NONE.search(prompt or ""):
        return False
    return True if _SOME.search(prompt or "") else None


def drum_row(drums: bool) -> Tensor:
    """[FEATURES] float32: one that is never 0, then one whose sign tells drums from none."""
    return torch.tensor([1.0, 1.0 if drums else -1.0])
