"""Frechet audio distance (Kilgour et al. 2019): that of Gaussians fitted to two sets of embeddings.

|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2), section 2 of that paper.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from toccata.errors import InputError

MIN_EMBEDDINGS = 2


@dataclass(frozen=True)
class Distance:
    """A Frechet distance, and how it was measured.

    Attributes:
        distance: 0 for equal Gaussians.
        made: How many embeddings there were of clips.
        against: How many of references.
        width: The dimension of the embeddings.
        warning: Why the distance must not be compared with others, if so.
    """

    distance: float
    made: int
    against: int
    width: int
    warning: str | None = None


@dataclass(frozen=True, eq=False)
class Gaussian:
    """A Gaussian: mean [D] and covariance [D, D] in float64."""

    mean: Tensor
    covariance: Tensor


def frechet(made: Tensor, against: Tensor) -> Distance:
    """Compute the squared Frechet distance.

    Args:
        made: Embeddings [N, D] of clips.
        against: Embeddings [M, D] of references.

    Raises:
        InputError: There are fewer than two embeddings, the widths differ, or a number is not
            finite.
    """
    if made.shape[-1] != against.shape[-1]:
        raise InputError("against", tuple(against.shape), f"give embeddings of {made.shape[-1]}")
    one, other = gaussian(made, "made"), gaussian(against, "against")
    width = made.shape[1]
    fewest = min(len(made), len(against))
    return Distance(
        distance=distance(one, other),
        made=len(made),
        against=len(against),
        width=width,
        warning=_warning(fewest, width) if fewest <= width else None,
    )


def gaussian(embeddings: Tensor, field: str) -> Gaussian:
    """Fit a Gaussian to embeddings [N, D]; `field` is their name in an InputError."""
    if len(embeddings) < MIN_EMBEDDINGS:
        raise InputError(
            field,
            len(embeddings),
            f"a covariance needs {MIN_EMBEDDINGS} embeddings or more: give more audio",
        )
    rows = embeddings.double()
    if not rows.isfinite().all():
        cure = "embeddings must be finite: look at the weights"
        raise InputError(field, None, cure, "holds nan or inf")
    mean = rows.mean(0)
    centred = rows - mean
    return Gaussian(mean, centred.T @ centred / (len(rows) - 1))


def distance(one: Gaussian, other: Gaussian) -> float:
    """The squared Frechet distance, never below 0."""
    # The eigenvalues of C1 C2 are the squares of these singular values. This takes no root of a 0
    # with a rounding error, so that covariances without full rank lose no digits.
    shared = torch.linalg.svdvals(_root(one.covariance) @ _root(other.covariance)).sum()
    spread = one.covariance.trace() + other.covariance.trace() - 2 * shared
    return max(0.0, float((one.mean - other.mean).square().sum() + spread))


def _root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    return torch.matmul(vectors * values.clamp(min=0).sqrt(), vectors.T)


def _warning(embeddings: int, width: int) -> str:
    return (
        f"{embeddings} embeddings cannot fill {width} dimensions, which makes the distance too "
        "large: compare it only with others of as many, or give more audio"
    )
