"""LoRA: low-rank updates of a decoder's matrices (Hu et al. 2021, section 4.1).

A matrix W [O, I] is frozen, and alpha / r * B A is added to it, with A [r, I] and B [O, r]. B
starts at zero, so that the model is unchanged before the first training step.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from toccata.decoder.decoder import Decoder
from toccata.errors import CheckpointError

# The linear layers of a decoder by target. Not every model has all of them.
TARGETS: Mapping[str, str] = {
    "attention": r"layers\.\d+\.(self|cross)_attn\.\w+",
    "ffn": r"layers\.\d+\.ffn_(in|out)",
    "conditions": r"projections\.\w+",
}
MAX_RANK, MAX_ALPHA = 1024, 1e6

Factors = tuple[Tensor, Tensor]
"""The update of one matrix: A [r, I] and B [O, r]."""


@dataclass(frozen=True)
class LoraConfig:
    """The hyperparameters of a LoRA.

    Attributes:
        rank: r; the rank of a smaller matrix is limited by its size.
        alpha: The update is scaled by alpha / r.
        targets: Which matrices are updated, names from `TARGETS`.

    Raises:
        CheckpointError: If a value is out of range.
    """

    rank: int = 16
    alpha: float = 16.0
    targets: tuple[str, ...] = ("attention", "ffn")

    def __post_init__(self) -> None:
        if not 1 <= self.rank <= MAX_RANK:
            raise CheckpointError(f"rank is {self.rank}, but it must be from 1 to {MAX_RANK}")
        if not 0 < self.alpha <= MAX_ALPHA:
            raise CheckpointError(
                f"alpha is {self.alpha}, but it must be a number above 0 and at most {MAX_ALPHA:g}"
            )
        unknown = [name for name in self.targets if name not in TARGETS]
        if unknown or not self.targets:
            known = ", ".join(TARGETS)
            raise CheckpointError(f"targets are {list(self.targets)}, but they must be of {known}")

    @property
    def scale(self) -> float:
        return self.alpha / self.rank


class LowRank(nn.Module):
    """A frozen linear layer with a low-rank update."""

    def __init__(self, base: nn.Linear, rank: int, scale: float) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = scale
        device = base.weight.device
        self.a = nn.Parameter(torch.empty(rank, base.in_features, device=device))
        self.b = nn.Parameter(torch.zeros(base.out_features, rank, device=device))

    @property
    def in_features(self) -> int:
        return self.base.in_features

    def forward(self, x: Tensor) -> Tensor:
        """Compute W x + scale * B A x: [..., I] -> [..., O], in the dtype of `x`."""
        small = F.linear(x, self.a.to(x.dtype))
        full: Tensor = self.base(x)
        return full + self.scale * F.linear(small, self.b.to(x.dtype))


def places(decoder: nn.Module, targets: Sequence[str]) -> dict[str, nn.Linear]:
    """Return the linear layers of a decoder that belong to `targets`, by their paths."""
    pattern = re.compile("|".join(TARGETS[name] for name in targets))
    return {
        path: module
        for path, module in decoder.named_modules()
        if isinstance(module, nn.Linear) and pattern.fullmatch(path)
    }


def adapt(decoder: Decoder, config: LoraConfig, seed: int = 0) -> None:
    """Freeze a decoder and add an update to every matrix of the targets.

    Args:
        decoder: The decoder, changed in place.
        config: Rank, scale and targets.
        seed: The seed of A, which is normal with a variance of 1 / I.

    Raises:
        CheckpointError: If the decoder has none of the targets.
    """
    named = places(decoder, config.targets)
    if not named:
        raise CheckpointError(f"this model has none of the targets {', '.join(config.targets)}")
    decoder.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for path, linear in named.items():
        one = LowRank(linear, _rank(config.rank, linear.weight), config.scale)
        drawn = torch.randn(one.a.shape, generator=generator) * linear.in_features**-0.5
        one.a.data.copy_(drawn)
        decoder.set_submodule(path, one)


def updates(decoder: nn.Module) -> Iterator[tuple[str, LowRank]]:
    """Yield all updates of an adapted decoder, with the paths of their layers."""
    for path, module in decoder.named_modules():
        if isinstance(module, LowRank):
            yield path, module


def factors(decoder: nn.Module) -> dict[str, Factors]:
    """Copy the trained factors of each layer, by its path, to float32 on the CPU."""
    return {
        path: (_copy(one.a), _copy(one.b))
        for path, one in updates(decoder)
    }  # fmt: skip


def merge(decoder: nn.Module) -> None:
    """Add each update to its matrix, and restore plain linear layers."""
    for path, one in list(updates(decoder)):
        weight = one.base.weight
        weight.data = added(weight, (one.a.detach(), one.b.detach()), one.scale).to(weight.dtype)
        decoder.set_submodule(path, one.base)


def added(weight: Tensor, pair: Factors, scale: float) -> Tensor:
    """Return weight + scale * B A in float32."""
    a, b = pair
    return torch.addmm(weight.detach().float(), b.float(), a.float(), alpha=scale)


def shapes(decoder: nn.Module, config: LoraConfig) -> dict[str, tuple[torch.Size, torch.Size]]:
    """Return the shapes of A and B for each matrix of the targets, by its path."""
    return {
        path: (torch.Size((rank, linear.in_features)), torch.Size((linear.out_features, rank)))
        for path, linear in places(decoder, config.targets).items()
        for rank in (_rank(config.rank, linear.weight),)
    }


def _rank(requested: int, weight: Tensor) -> int:
    # The projection of a condition of width 2 has at most rank 2.
    return min(requested, weight.shape[0], weight.shape[1])


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float32, copy=True).contiguous()
