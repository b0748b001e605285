"""The decoder over delayed codes: its configuration and forward pass.

Training uses this full, teacher-forced forward pass, and the cached step of every backend is tested
against it.
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
    """The shape of a decoder.

    Attributes:
        dim: The width D of the residual stream.
        layers: The number of layers.
        heads: The number of attention heads.
        ffn_dim: The width between the two feed-forward matrices.
        card: The number of codes in a codebook.
        codebooks: The number of codebooks K.
        cross_attention: Whether layers cross-attend to text; if not, text is prefix conditioning.
        delays: The delay of each codebook in steps.
        cond_dims: The width of each condition before its projection, by its name.

    Raises:
        CheckpointError: If a size is out of range, or sizes contradict each other.
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
        """The code where the delay pattern has no frame: one past the last code."""
        return self.card


class Decoder(nn.Module):
    """A transformer decoder over K parallel codebooks, with its condition projections."""

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
        """Embed codes and sum over codebooks.

        Args:
            codes: [B, K, S] int64, which may contain the special code.

        Returns:
            [B, S, D] float32.
        """
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
        """Predict each step from the ones before it.

        Args:
            codes: Delayed codes, [B, K, S].
            prefix: Prefix conditioning, [B, P, D]; it takes the first P positions.
            memory: Text states for cross-attention, [B, L, D].
            memory_mask: True where there is a text state, [B, L]; for a row without any,
                cross-attention adds zero.
            step_conditioning: Embeddings that are added to those of the codes, [B, S, D].

        Returns:
            Logits [B, K, S, card] float32; those of step s predict step s + 1.
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
        """Apply the last norm and the heads: [B, S, D] float32 -> [B, K, S, card] float32."""
        hidden = self.out_norm(x).to(self.out_norm.weight.dtype)
        return torch.stack([head(hidden).float() for head in self.heads], dim=1)


def _mask_memory(
    memory: Tensor | None, memory_mask: Tensor | None
) -> tuple[Tensor | None, Tensor | None]:
    if memory is None or memory_mask is None:
        return memory, None
    # A row without any key would become nan, so it attends to zeros; their values have no bias.
    attend = memory_mask | ~memory_mask.any(dim=1, keepdim=True)
    return memory * memory_mask.unsqueeze(-1), attend[:, None, None, :]
