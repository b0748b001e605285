"""HuBERT (Hsu et al. 2021): raw audio to features, as MERT (Li et al. 2023) uses it for music.

waves -> seven strided convolutions -> projection -> positions, by convolution -> transformer
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from toccata.config_limits import check_limits
from toccata.decoder.layers import merge_heads, split_heads


@dataclass(frozen=True)
class HubertConfig:
    """The shape of HuBERT-base and of MERT-v1-95M: a feature for every 320 samples."""

    dim: int = 768
    layers: int = 12
    heads: int = 12
    ffn_dim: int = 3072
    conv_dims: tuple[int, ...] = (512,) * 7
    conv_kernels: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_strides: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    position_kernel: int = 128
    position_groups: int = 16
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        """Raises CheckpointError for numbers that are not supported."""
        check_limits(self)


class Hubert(nn.Module):
    """Mono audio [B, N] to the last hidden states [B, T, D]."""

    def __init__(self, cfg: HubertConfig) -> None:
        super().__init__()
        widths = (1, *cfg.conv_dims)
        self.convs = nn.ModuleList(
            nn.Conv1d(fan_in, fan_out, kernel, stride=stride, bias=False)
            for fan_in, fan_out, kernel, stride in zip(
                widths, cfg.conv_dims, cfg.conv_kernels, cfg.conv_strides, strict=False
            )
        )
        self.conv_norm = nn.GroupNorm(cfg.conv_dims[0], cfg.conv_dims[0])
        self.project_norm = nn.LayerNorm(cfg.conv_dims[-1], eps=cfg.norm_eps)
        self.project = nn.Linear(cfg.conv_dims[-1], cfg.dim)
        self.positions = nn.Conv1d(
            cfg.dim, cfg.dim, cfg.position_kernel,
            padding=cfg.position_kernel // 2, groups=cfg.position_groups,
        )  # fmt: skip
        self.norm = nn.LayerNorm(cfg.dim, eps=cfg.norm_eps)
        self.layers = nn.ModuleList(HubertLayer(cfg) for _ in range(cfg.layers))

    def forward(self, audio: Tensor) -> Tensor:
        x = self.project(self.project_norm(self._convolve(audio).transpose(1, 2)))
        x = self.norm(x + self._place(x))
        for layer in self.layers:
            x = layer(x)
        return x  # type: ignore[no-any-return]

    def _convolve(self, audio: Tensor) -> Tensor:
        x = audio[:, None]
        for index, conv in enumerate(self.convs):
            x = conv(x)
            x = F.gelu(self.conv_norm(x) if index == 0 else x)
        return x

    def _place(self, x: Tensor) -> Tensor:
        """An even kernel makes one position too many."""
        placed = F.gelu(self.positions(x.transpose(1, 2))[..., : x.shape[1]])
        return placed.transpose(1, 2)


class HubertLayer(nn.Module):
    """Attention and feed-forward, each with its norm after the sum."""

    def __init__(self, cfg: HubertConfig) -> None:
        super().__init__()
        self.heads = cfg.heads
        self.qkv = nn.Linear(cfg.dim, 3 * cfg.dim)
        self.out = nn.Linear(cfg.dim, cfg.dim)
        self.norm_self = nn.LayerNorm(cfg.dim, eps=cfg.norm_eps)
        self.ffn_in = nn.Linear(cfg.dim, cfg.ffn_dim)
        self.ffn_out = nn.Linear(cfg.ffn_dim, cfg.dim)
        self.norm_ffn = nn.LayerNorm(cfg.dim, eps=cfg.norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1))
        attended = merge_heads(F.scaled_dot_product_attention(q, k, v))
        x = self.norm_self(x + self.out(attended))
        return self.norm_ffn(x + self.ffn_out(F.gelu(self.ffn_in(x))))  # type: ignore[no-any-return]
