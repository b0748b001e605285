"""CLAP score (Wu et al. 2023): the similarity of a clip and its caption."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from toccata.errors import InputError


@dataclass(frozen=True)
class Score:
    """The mean cosine similarity, from -1 to 1, of `clips` clips and their captions."""

    score: float
    clips: int


def clap_score(clips: list[Tensor], captions: Tensor) -> Score:
    """Compute the CLAP score; a clip's embedding is the mean of its windows.

    Args:
        clips: Of each clip the embeddings [W, D] of its windows.
        captions: The captions' embeddings [N, D], in the same order.

    Raises:
        InputError: There are more or fewer captions than clips.
    """
    if len(clips) != len(captions):
        raise InputError("captions", len(captions), f"give {len(clips)}: one for every clip")
    audio = torch.stack([F.normalize(windows, dim=-1).mean(0) for windows in clips])
    return Score(float(F.cosine_similarity(audio, captions, dim=-1).mean()), len(clips))
