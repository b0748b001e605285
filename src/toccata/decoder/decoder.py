"""The decoder over delayed codes: its configuration and forward pass.

This full, teacher-forced forward is what training uses and the slow reference which every
backend's cached step is tested against. No sampling, random numbers or files here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from toccata.config_limits import check_limits
from toccata.decoder.layers import Layer, Norm, sinusoidal_positions
from toccata.errors import CheckpointError


@dataclass(frozen=True)
class LMConfig:
    """Shape of a decoder.

    cross_attention: text is cross-attended; otherwise every condition is prepended (prefix kind).
    delays: one per codebook, in steps. cond_dims: width of each condition before its projection.
    Raises CheckpointError for sizes that contradict each other.
    """

    dim: int
    layers: int
    heads: int
    ffn_dim: int
    card: int
    codebooks: int
    cross_attention: bool
    delays: tuple[int, ...]
    cond_dims: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_limits(self)
        if self.dim % self.heads or self.dim % 2:
            raise CheckpointError(f"dim {self.dim} must be even and divide by heads {self.heads}")
        if len(self.delays) != self.codebooks or min(self.delays, default=-1) < 0:
            raise CheckpointError(
                f"delays {self.delays} must be {self.codebooks} numbers >= 0, one per codebook"
            )

    @property
    def special_id(self) -> int:
        """What stands where the delay pattern holds no frame: one past the last code."""
        return self.card


class Decoder(nn.Module):
    """Transformer decoder over K parallel codebooks, with its condition projections."""

    def __init__(self, config: LMConfig) -> None:
        super().__init__()
        self.config = config
        dim, books = config.dim, range(config.codebooks)
        self.embed = nn.ModuleList(nn.Embedding(config.card + 1, dim) for _ in books)
        self.layers = nn.ModuleList(
            Layer(dim, config.heads, config.ffn_dim, config.cross_attention)
            for _ in range(config.layers)
        )
        self.out_norm = Norm(dim)
        self.heads = nn.ModuleList(nn.Linear(dim, config.card, bias=False) for _ in books)
        self.projections = nn.ModuleDict(
            {name: nn.Linear(width, dim) for name, width in config.cond_dims.items()}
        )

    def embed_codes(self, codes: Tensor) -> Tensor:
        """codes [B, K, S] (special id allowed) -> [B, S, D] float32, summed over codebooks."""
        embedded: Tensor = self.embed[0](codes[:, 0]).float()
        for book in range(1, self.config.codebooks):
            embedded = embedded + self.embed[book](codes[:, book]).float()
        return embedded

    def forward(
        self,
        codes: Tensor,
        prefix: Tensor | None = None,
        memory: Tensor | None = None,
        memory_mask: Tensor | None = None,
        step_conditioning: Tensor | None = None,
    ) -> Tensor:
        """Delayed codes [B, K, S] -> logits [B, K, S, card] float32; step s predicts step s + 1.

        prefix [B, P, D] goes before the codes, and positions run through it (prefix kind).
        memory [B, L, D] is cross-attended where memory_mask [B, L] is True; a row masked
        everywhere gets nothing from it (cross kind). step_conditioning [B, S, D] is added to the
        embedded codes.
        """
        x = self.embed_codes(codes)
        if step_conditioning is not None:
            x = x + step_conditioning.float()
        if prefix is not None:
            x = torch.cat([prefix.float(), x], dim=1)
        positions = torch.arange(x.shape[1], device=x.device)
        x = x + sinusoidal_positions(positions, self.config.dim)
        memory, mask = _mask_memory(memory, memory_mask)
        for layer in self.layers:
            x = layer(x, memory, mask)
        return self.logits(x[:, x.shape[1] - codes.shape[2] :])

    def logits(self, x: Tensor) -> Tensor:
        """Hidden [B, S, D] float32 -> logits [B, K, S, card] float32."""
        hidden = self.out_norm(x).to(self.out_norm.weight.dtype)
        return torch.stack([head(hidden).float() for head in self.heads], dim=1)


def _mask_memory(
    memory: Tensor | None, memory_mask: Tensor | None
) -> tuple[Tensor | None, Tensor | None]:
    if memory is None or memory_mask is None:
        return memory, None
    # A row with no key at all would be nan: let it attend to zeros, which have no bias to add.
    attend = memory_mask | ~memory_mask.any(dim=1, keepdim=True)
    return memory * memory_mask.unsqueeze(-1), attend[:, None, None, :]
