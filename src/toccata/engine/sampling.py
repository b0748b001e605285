"""Guidance and sampling: from the logits of a step to codes, by the parameters of each request.

Probabilities are softmax(logits / temperature). With top_p > 0 a code is dropped if more likely
codes already have a total probability above p; top_k is then ignored. Otherwise, with top_k > 0, a
code is dropped if its logit is below the k-th largest; codes that tie with the k-th are kept.
Temperature 0 takes the code with the largest logit, the first one of equals. Codebooks are sampled
independently.

A code is the inverse of the cumulative distribution, in the order of codes and in float64, at a
uniform number that the caller passes. Every operation works along one row, so that a request's
codes do not depend on the rest of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from toccata.models.sampling_params import SamplingParams


@dataclass(frozen=True, eq=False)
class SamplingBatch:
    """The sampling parameters of N requests as columns; None where no request uses a parameter."""

    temperature: Tensor  # [N, 1, 1] float64, 1 for greedy requests
    greedy: Tensor | None  # [N, 1] bool
    top_k: Tensor | None  # [N, 1, 1] int64, card where it does not limit
    max_k: int
    top_p: Tensor | None  # [N, 1, 1] float64, 1 where it does not limit

    @classmethod
    def of(cls, params: Sequence[SamplingParams], card: int, device: torch.device) -> SamplingBatch:
        """Build the columns that these requests need."""
        limits = [k_of(p, card) for p in params]
        whole = cls.whole(params, card, device)
        return replace(
            whole,
            greedy=whole.greedy if any(p.temperature == 0 for p in params) else None,
            top_k=whole.top_k if min(limits) < card else None,
            max_k=max((k for k in limits if k < card), default=card),
            top_p=whole.top_p if min(p_of(p) for p in params) < 1 else None,
        )

    @classmethod
    def whole(
        cls, params: Sequence[SamplingParams], card: int, device: torch.device
    ) -> SamplingBatch:
        """Build all columns, for any k; it samples the same codes as `of`, but slower."""

        def column(values: Sequence[float], dtype: torch.dtype) -> Tensor:
            return torch.tensor(values, dtype=dtype, device=device).view(-1, 1, 1)

        return cls(
            temperature=column([p.temperature or 1.0 for p in params], torch.float64),
            greedy=column([p.temperature == 0 for p in params], torch.bool).view(-1, 1),
            top_k=column([k_of(p, card) for p in params], torch.int64),
            max_k=card,
            top_p=column([p_of(p) for p in params], torch.float64),
        )


def p_of(params: SamplingParams) -> float:
    """Return top_p, or 1 if it does not limit."""
    return params.top_p if params.top_p > 0 else 1.0


def k_of(params: SamplingParams, card: int) -> int:
    """Return top_k, or card if it does not limit."""
    limited = params.top_k > 0 and not params.top_p > 0 and params.temperature > 0
    return min(params.top_k, card) if limited else card


def guide(cond: Tensor, uncond: Tensor, cfg: Tensor) -> Tensor:
    """Apply classifier-free guidance (Ho and Salimans 2022): uncond + cfg * (cond - uncond).

    Args:
        cond: Logits of the conditional branch, [N, K, card].
        uncond: Logits of the unconditional branch, [N, K, card].
        cfg: The guidance scale of each request, [N, 1, 1] float32.

    Returns:
        [N, K, card].
    """
    return uncond + cfg * (cond - uncond)


def sample(logits: Tensor, batch: SamplingBatch, uniform: Tensor) -> Tensor:
    """Sample one code per request and codebook.

    Args:
        logits: Finite logits, [N, K, card].
        batch: The sampling parameters of the N requests.
        uniform: Random numbers in [0, 1), [N, K] float64.

    Returns:
        Codes [N, K] int64.
    """
    weights = torch.softmax(logits.double() / batch.temperature, dim=-1)
    if batch.top_k is not None:
        weights = _keep_top_k(weights, logits, batch.top_k, batch.max_k)
    if batch.top_p is not None:
        weights = _keep_top_p(weights, batch.top_p)
    cumulative = weights.cumsum(-1)
    target = uniform.unsqueeze(-1) * cumulative[..., -1:]
    codes = torch.searchsorted(cumulative, target, right=True).squeeze(-1)
    if batch.greedy is not None:
        codes = torch.where(batch.greedy, logits.argmax(-1), codes)
    return codes


def _keep_top_k(weights: Tensor, logits: Tensor, top_k: Tensor, max_k: int) -> Tensor:
    values = logits.topk(max_k, dim=-1).values
    kth = (top_k - 1).clamp(max=max_k - 1).expand(-1, logits.shape[1], 1)
    below = (logits < values.gather(-1, kth)) & (top_k < logits.shape[-1])
    return weights.masked_fill(below, 0.0)


def _keep_top_p(weights: Tensor, top_p: Tensor) -> Tensor:
    ordered, order = weights.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(-1) - ordered
    dropped = torch.zeros_like(weights, dtype=torch.bool)
    dropped.scatter_(-1, order, (before > top_p) & (top_p < 1))
    return weights.masked_fill(dropped, 0.0)
