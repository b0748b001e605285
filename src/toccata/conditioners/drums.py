"""Drums conditioning: whether there are drums, added at every step.

With text alone, a small model mostly follows "no drums" as if it were "drums".
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
# "Drum and bass" is a genre.
_SOME = re.compile(
    r"\b(?:drum(?!\s*(?:and|&|\+|'?n'?)\s*bass)|percussion|brushes\b)", re.IGNORECASE
)


def named_drums(prompt: str | None) -> bool | None:
    """Parse whether a prompt asks for drums; None if it does not mention them."""
    if _NONE.search(prompt or ""):
        return False
    return True if _SOME.search(prompt or "") else None


def drum_row(drums: bool) -> Tensor:
    """Return the features [FEATURES] float32: 1, and 1 with drums or -1 without."""
    return torch.tensor([1.0, 1.0 if drums else -1.0])
