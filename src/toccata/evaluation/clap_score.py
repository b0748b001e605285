"""CLAP score (Wu et al. 2023): the similarity of a clip and its caption."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from toccata.errors import InputError


@dataclass(frozen=True)
class Score:
    """score: the mean cosine, from -1 to 1, of `clips` clips and their captions."""

    score: float
    clips: int


def clap_score(clips: list[Tensor], captions: Tensor) -> Score:
    """Of clips, each with embeddings [W, D] of its windows, and of their captions' [N, D].

    A clip is the mean of its windows. Raises InputError unless every clip has one caption.
    """
    if len(clips) != len(captions):
        raise InputError("captions", len(captions), f"give {len(clips)}: one for every clip")
    heard = torch.stack([F.normalize(windows, dim=-1).mean(0) for windows in clips])
    return Score(float(F.cosine_similarity(heard, captions, dim=-1).mean()), len(clips))
