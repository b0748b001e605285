"""Weight initialization for training from scratch."""

from __future__ import annotations

import math

from torch import Tensor, nn

from toccata.decoder.decoder import Decoder

POSITION_RMS = 0.7


def init_weights(decoder: Decoder) -> None:
    """Draw all weights from torch's generator, normal with a deviation of 1 / sqrt(fan in).

    Layer i is scaled by 1 / sqrt(2 i): the residual stream then keeps its variance with depth, so
    that the decoder trains without a long warm-up. The embeddings of a step's codes have together
    the RMS of its sinusoidal position; smaller ones would be masked by it.
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
