"""The layers of the decoder: attention, feed-forward, positions.

The residual stream is float32 for weights of any dtype: half-precision sums over 48 layers
sometimes overflow to inf or nan.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORM_EPS = 1e-5


def sinusoidal_positions(positions: Tensor, dim: int) -> Tensor:
    """Embed positions [...] -> [..., D] float32, D / 2 cosines followed by D / 2 sines."""
    half, wide = dim // 2, wide_dtype(positions.device)
    exponents = torch.arange(half, device=positions.device, dtype=torch.float32) / (half - 1)
    phase = positions.float().unsqueeze(-1) / (10000.0 ** exponents.to(wide)).float()
    return torch.cat([phase.to(wide).cos(), phase.to(wide).sin()], dim=-1).float()


def wide_dtype(device: torch.device, otherwise: torch.dtype = torch.float32) -> torch.dtype:
    """Return a dtype whose results, rounded to float32, have the same bits on every CPU.

    Libraries choose the order of float32 sums by the width of a CPU's vectors. In float64 the
    orders differ by far less than a unit in the last place of float32.

    Args:
        device: Where is computed.
        otherwise: The dtype for other devices than CPUs: different kinds of GPU do not agree in any
            dtype, and Apple's have no float64.
    """
    return torch.float64 if device.type == "cpu" else otherwise


def widened(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Return the module if its weights have `dtype`, else a converted copy; for small modules.

    Threads share a model, so its own weights must not be swapped, not even for a moment as by
    torch.func.functional_call: another thread could compute with some of them swapped.
    """
    if all(weight.dtype == dtype for weight in module.parameters()):
        return module
    return copy.deepcopy(module).to(dtype)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Reshape [B, S, D] -> [B, heads, S, D / heads]."""
    return x.view(*x.shape[:-1], heads, -1).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """Reshape [B, heads, S, D / heads] -> [B, S, D]."""
    return x.transpose(1, 2).flatten(2)


class Norm(nn.LayerNorm):
    """LayerNorm in float32, for weights of any dtype."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, eps=NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(
            x, self.normalized_shape, self.weight.float(), self.bias.float(), self.eps
        )


def attend_causally(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend causally: [B, heads, S, D / heads], in the dtype of `q`."""
    if q.device.type != "cpu" or q.dtype == torch.float32:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    with torch.autocast("cpu", enabled=False):
        flat = (x.flatten(0, 1) for x in (q, k, v))
        return _attend_in_two_blocks(*flat).view(q.shape)


def _attend_in_two_blocks(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend causally: [B * heads, S, D / heads], in half precision on a CPU.

    The queries are split into two blocks, each multiplied with the keys up to its end. Training is
    three times as fast as with torch's fused kernel.
    """
    size = q.shape[1]
    mask = torch.full((size, size), -torch.inf, dtype=q.dtype).triu(1)
    outputs = []
    for start, end in ((0, size // 2), (size // 2, size)):
        block_mask = mask[start:end, :end].expand(q.shape[0], -1, -1)
        keys = k[:, :end].transpose(1, 2)
        scores = torch.baddbmm(block_mask, q[:, start:end], keys, alpha=q.shape[2] ** -0.5)
        outputs.append(scores.softmax(-1) @ v[:, :end])
    return torch.cat(outputs, dim=1)


class SelfAttention(nn.Module):
    """Self-attention of [B, S, D], causal or to all positions."""

    def __init__(self, dim: int, heads: int, causal: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1))
        attend = attend_causally if self.causal else F.scaled_dot_product_attention
        return self.out(merge_heads(attend(q, k, v)))  # type: ignore[no-any-return]


class CrossAttention(nn.Module):
    """Cross-attention of [B, S, D] to text states [B, L, D]."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim, bias=False)
        self.kv = nn.Linear(dim, 2 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor | None) -> Tensor:
        """Attend where `mask` [B, 1, 1, L] is True, or everywhere without one."""
        q = split_heads(self.q(x), self.heads)
        k, v = (split_heads(part, self.heads) for part in self.kv(memory).chunk(2, dim=-1))
        return self.out(merge_heads(F.scaled_dot_product_attention(q, k, v, attn_mask=mask)))  # type: ignore[no-any-return]


class Layer(nn.Module):
    """A pre-norm decoder layer; `cross_attn` exists only with cross-attention."""

    def __init__(
        self, dim: int, heads: int, ffn_dim: int, cross_attention: bool, causal: bool = True
    ) -> None:
        super().__init__()
        self.norm_self = Norm(dim)
        self.self_attn = SelfAttention(dim, heads, causal)
        if cross_attention:
            self.norm_cross = Norm(dim)
            self.cross_attn = CrossAttention(dim, heads)
        self.norm_ffn = Norm(dim)
        self.ffn_in = nn.Linear(dim, ffn_dim, bias=False)
        self.ffn_out = nn.Linear(ffn_dim, dim, bias=False)

    def forward(self, x: Tensor, memory: Tensor | None, mask: Tensor | None) -> Tensor:
        """Apply the layer to x [B, S, D] float32.

        Without `memory` cross-attention is skipped, which equals a memory of zeros.
        """
        dtype = self.norm_ffn.weight.dtype
        x = x + self.self_attn(self.norm_self(x).to(dtype))
        if memory is not None:
            x = x + self.cross_attn(self.norm_cross(x).to(dtype), memory.to(dtype), mask)
        return x + self.feed_forward(self.norm_ffn(x).to(dtype))

    def feed_forward(self, x: Tensor) -> Tensor:
        return self.ffn_out(F.gelu(self.ffn_in(x)))  # type: ignore[no-any-return]
