"""Initial weights for training from scratch."""

from __future__ import annotations

import math

from torch import nn

from toccata.lm.decoder import Decoder


def init_weights(decoder: Decoder) -> None:
    """Draw all weights from torch's generator: normal, 1 / sqrt(fan in), smaller in deep layers.

    Layer i is scaled by 1 / sqrt(2 i): the residual stream then keeps its variance with depth,
    which is what lets the decoder train without a long warm-up.
    """
    for module in decoder.modules():
        _init(module, depth_scale=1.0)
    for depth, layer in enumerate(decoder.layers, start=1):
        for module in layer.modules():
            _init(module, depth_scale=1.0 / math.sqrt(2 * depth))


def _init(module: nn.Module, depth_scale: float) -> None:
    if isinstance(module, nn.Linear):
        std = depth_scale / math.sqrt(module.in_features)
        nn.init.trunc_normal_(module.weight, std=std, a=-3 * std, b=3 * std)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        std = 1.0 / math.sqrt(module.embedding_dim)
        nn.init.trunc_normal_(module.weight, std=std, a=-3 * std, b=3 * std)
