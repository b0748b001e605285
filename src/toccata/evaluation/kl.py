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
    """Mean KL divergences in nats over `windows` windows of `pairs` pairs.

    kl: KL(reference || clip), the published one. kl_back: KL(clip || reference).
    """

    kl: float
    kl_back: float
    windows: int
    pairs: int


def kl_divergence(made: Tensor, reference: Tensor) -> Tensor:
    """Compute KL(reference || clip) of each window.

    Args:
        made: Label probabilities [S, L] of a clip.
        reference: Those of its reference, of the same shape.

    Returns:
        Divergences in nats [S].

    Raises:
        InputError: The shapes differ.
    """
    if made.shape != reference.shape:
        raise InputError(
            "made", tuple(made.shape), f"give probabilities of shape {tuple(reference.shape)}"
        )
    return (torch.xlogy(reference, reference) - reference * (made + EPSILON).log()).sum(-1)


def divergence(made: list[Tensor], references: list[Tensor]) -> Divergence:
    """Compute the mean divergences of pairs; windows that only one of a pair has do not count.

    Args:
        made: Label probabilities [S, L] of each clip.
        references: Those of the references, in the same order.

    Raises:
        InputError: No pair has a window.
    """
    both = [_as_many(*pair) for pair in zip(made, references, strict=True)]
    labelled = [pair for pair in both if len(pair[0])]
    if not labelled:
        problem = "holds clips too short to label"
        raise InputError("made", None, "give pairs of longer clips", problem)
    ours, theirs = (torch.cat(side).double() for side in zip(*labelled, strict=True))
    return Divergence(
        kl=float(kl_divergence(ours, theirs).mean()),
        kl_back=float(kl_divergence(theirs, ours).mean()),
        windows=len(ours),
        pairs=len(labelled),
    )


def _as_many(made: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    windows = min(len(made), len(reference))
    return made[:windows], reference[:windows]
