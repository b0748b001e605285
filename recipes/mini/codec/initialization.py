"""Initial weights of the codec.

torch's defaults shrink the signal at every layer; after twenty of them the decoder's gradients are
too small to find the phase in thousands of steps. Here every layer keeps its input's variance and
the output starts quiet.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from toccata.codecs.encodec import Encodec
from toccata.codecs.seanet import Conv, Residual, UpConv

ELU_GAIN = 1.2
BRANCH_GAIN = 0.3
OUTPUT_GAIN = 0.15


def initialize_seanet(codec: Encodec) -> None:
    """Variance-preserving weights and zero biases, in place."""
    for layer in codec.modules():
        if isinstance(layer, Conv):
            _normal(layer, ELU_GAIN, layer.in_channels * layer.kernel_size[0])
        elif isinstance(layer, UpConv):
            # Kernels are twice the stride: two inputs reach each output.
            _normal(layer, ELU_GAIN, 2 * layer.in_channels)
    for layer in codec.modules():
        if isinstance(layer, Residual):
            last = cast(Conv, layer.block[-1])
            _normal(last, BRANCH_GAIN, last.in_channels)
    output = cast(Conv, codec.decoder.layers[-1])
    _normal(output, ELU_GAIN * OUTPUT_GAIN, output.in_channels * output.kernel_size[0])


def _normal(layer: Conv | UpConv, gain: float, fan_in: int) -> None:
    nn.init.normal_(layer.weight, std=gain / fan_in**0.5)
    nn.init.zeros_(cast(Tensor, layer.bias))
