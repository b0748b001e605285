"""Weight initialization for training from scratch."""

from __future__ import annotations

import math

from torch import Tensor, nn

from toccata.decoder.decoder import Decoder

POSITION_RMS = 0.7


def init_weights(decoder: Decoder) -> None:
    """Draw all weights from torch's generator: normal, 1 / sqrt(fan in), smaller in deep layers.

    Layer i is scaled by 1 / sqrt(2 i): the residual stream then keeps its variance with depth,
    which is what lets the decoder train without a long warm-up. The codes of a step are together
    as loud as its position: softer ones are drowned by it.
    """
    for module in decoder.modules():
        _init(module, depth_scale=1.0)
    for table in decoder.embed:
        _draw(table.get_parameter("weight"), POSITION_RMS / math.sqrt(decoder.config.codebooks))
    for depth, layer in enumerate(decoder.layers, start=1):
        for module in layer.modules():
            _init(module, depth_scale=1.0 / math.sqrt(2 * depth))


def _init(module: nn.Module, depth_scale: float) -> None:
    if isinstance(module, nn.Linear):
        _draw(module.weight, depth_scale / math.sqrt(module.in_features))
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _draw(weight: Tensor, std: float) -> None:
    nn.init.trunc_normal_(weight, std=std, a=-3 * std, b=3 * std)
