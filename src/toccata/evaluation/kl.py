"""KL divergence of labels (Copet et al. 2023, section 4) between a clip and its reference."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from toccata.errors import InputError

# AudioCraft's: a label that was ruled out costs at most -log of it.
EPSILON = 1e-6


@dataclass(frozen=True)
class Divergence:
    """kl: KL(reference || made) in nats, the one that is published. kl_back: KL(made || reference).

    Means over `windows` of all `pairs`.
    """

    kl: float
    kl_back: float
    windows: int
    pairs: int


def kl_divergence(made: Tensor, reference: Tensor) -> Tensor:
    """KL(reference || made) in nats [S] of label probabilities [S, L] each.

    Raises InputError if they have different shapes.
    """
    if made.shape != reference.shape:
        raise InputError(
            "made", tuple(made.shape), f"give probabilities of shape {tuple(reference.shape)}"
        )
    return (torch.xlogy(reference, reference) - reference * (made + EPSILON).log()).sum(-1)


def divergence(made: list[Tensor], references: list[Tensor]) -> Divergence:
    """Of pairs of clips, each [S, L]; a window that only one of them has does not count.

    Raises InputError if no pair has a window.
    """
    both = [_as_many(*pair) for pair in zip(made, references, strict=True)]
    heard = [pair for pair in both if len(pair[0])]
    if not heard:
        problem = "holds clips too short to label"
        raise InputError("made", None, "give pairs of longer clips", problem)
    ours, theirs = (torch.cat(side).double() for side in zip(*heard, strict=True))
    return Divergence(
        kl=float(kl_divergence(ours, theirs).mean()),
        kl_back=float(kl_divergence(theirs, ours).mean()),
        windows=len(ours),
        pairs=len(heard),
    )


def _as_many(made: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    windows = min(len(made), len(reference))
    return made[:windows], reference[:windows]
