"""Sampling: logits to codes, for each request by its own parameters.

Probabilities are softmax(logits / temperature). With top_p > 0 a token is dropped if the tokens
before it, from the likeliest on, already hold more than p. Otherwise, with top_k > 0, it is dropped
if its logit is below the k-th largest: ties with the k-th stay. Never both. Temperature 0 takes the
largest logit, the first of equals. Codebooks are drawn independently.

The draw is the inverse of the cumulative probability in token order, in float64, at a uniform
number that the caller gives. Every operation works along one row, so that a request's codes do not
depend on what else is in the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from toccata.models.sampling_params import SamplingParams


@dataclass(frozen=True, eq=False)
class SamplingBatch:
    """The parameters of N requests as columns; parts that nobody in the batch asks for are None."""

    temperature: Tensor  # [N, 1, 1] float64, 1 for the greedy ones
    greedy: Tensor | None  # [N, 1] bool
    top_k: Tensor | None  # [N, 1, 1] int64, the whole card where it does not limit
    largest_k: int
    top_p: Tensor | None  # [N, 1, 1] float64, 1 where it does not limit

    @classmethod
    def of(cls, params: Sequence[SamplingParams], card: int, device: torch.device) -> SamplingBatch:
        limits = [k_of(p, card) for p in params]
        whole = cls.whole(params, card, device)
        return replace(
            whole,
            greedy=whole.greedy if any(p.temperature == 0 for p in params) else None,
            top_k=whole.top_k if min(limits) < card else None,
            largest_k=max((k for k in limits if k < card), default=card),
            top_p=whole.top_p if min(p_of(p) for p in params) < 1 else None,
        )

    @classmethod
    def whole(
        cls, params: Sequence[SamplingParams], card: int, device: torch.device
    ) -> SamplingBatch:
        """With all parts there, and room for any k: it draws the same codes, only slower."""

        def column(values: Sequence[float], dtype: torch.dtype) -> Tensor:
            return torch.tensor(values, dtype=dtype, device=device).view(-1, 1, 1)

        return cls(
            temperature=column([p.temperature or 1.0 for p in params], torch.float64),
            greedy=column([p.temperature == 0 for p in params], torch.bool).view(-1, 1),
            top_k=column([k_of(p, card) for p in params], torch.int64),
            largest_k=card,
            top_p=column([p_of(p) for p in params], torch.float64),
        )


def p_of(params: SamplingParams) -> float:
    """top_p, 1 where it does not limit."""
    return params.top_p if params.top_p > 0 else 1.0


def k_of(params: SamplingParams, card: int) -> int:
    """top_k, the whole card where it does not limit."""
    limited = params.top_k > 0 and not params.top_p > 0 and params.temperature > 0
    return min(params.top_k, card) if limited else card


def guide(cond: Tensor, null: Tensor, cfg: Tensor) -> Tensor:
    """Logits [N, K, card] of both branches, cfg [N, 1, 1] float32 -> null + cfg * (cond - null)."""
    return null + cfg * (cond - null)


def sample(logits: Tensor, batch: SamplingBatch, uniform: Tensor) -> Tensor:
    """logits [N, K, card] finite, uniform [N, K] float64 in [0, 1) -> codes [N, K] int64."""
    weights = torch.softmax(logits.double() / batch.temperature, dim=-1)
    if batch.top_k is not None:
        weights = _keep_top_k(weights, logits, batch.top_k, batch.largest_k)
    if batch.top_p is not None:
        weights = _keep_top_p(weights, batch.top_p)
    cumulative = weights.cumsum(-1)
    target = uniform.unsqueeze(-1) * cumulative[..., -1:]
    codes = torch.searchsorted(cumulative, target, right=True).squeeze(-1)
    if batch.greedy is not None:
        codes = torch.where(batch.greedy, logits.argmax(-1), codes)
    return codes


def _keep_top_k(weights: Tensor, logits: Tensor, top_k: Tensor, largest: int) -> Tensor:
    values = logits.topk(largest, dim=-1).values
    place = (top_k - 1).clamp(max=largest - 1).expand(-1, logits.shape[1], 1)
    below = (logits < values.gather(-1, place)) & (top_k < logits.shape[-1])
    return weights.masked_fill(below, 0.0)


def _keep_top_p(weights: Tensor, top_p: Tensor) -> Tensor:
    ordered, order = weights.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(-1) - ordered
    dropped = torch.zeros_like(weights, dtype=torch.bool)
    dropped.scatter_(-1, order, (before > top_p) & (top_p < 1))
    return weights.masked_fill(dropped, 0.0)
