"""Linear layers with weights in 8 or 4 bits.

Kernels expand them in registers, so that a step reads a quarter of the bytes of float32, or less.
Their inputs are rounded to 8 bits in groups of 64 numbers; outputs are float32. A row of a product
has the same bits in any batch. They run on CPUs only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from toccata.decoder.decoder import Decoder
from toccata.kernels import packing, thread_team
from toccata.kernels.layers import PRODUCT_LOOPS, product
from toccata.kernels.matmul import Floats, Int4Matrix, Int8Matrix, Matrix
from toccata.kernels.rounding import Rounded, padded_rows


class Packed(nn.Module):
    """A matrix [outputs, inputs] in the order of `kernels.matmul`, as two flat buffers."""

    weight: Tensor
    scales: Tensor

    def __init__(self, matrix: Matrix, outputs: int, inputs: int) -> None:
        super().__init__()
        self.outputs, self.inputs = outputs, inputs
        self.register_buffer("weight", torch.from_numpy(matrix.weight))
        self.register_buffer("scales", torch.from_numpy(matrix.scales))

    @property
    def matrix(self) -> Matrix:
        """The buffers as NumPy arrays for kernels, without a copy."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Multiply: x [..., inputs] -> [..., outputs] float32."""
        padded_outputs, padded_inputs = packing.padded_shape(self.outputs, self.inputs)
        rows = x.detach().reshape(-1, self.inputs).float().numpy()
        rows = np.pad(rows, ((0, 0), (0, padded_inputs - self.inputs)))
        out = np.empty((padded_rows(len(rows)), padded_outputs), np.float32)
        rounded = Rounded.empty(*rows.shape)
        threads = torch.get_num_threads()
        thread_team.run(product, PRODUCT_LOOPS, threads, rows, self.matrix, len(rows), rounded, out)
        return torch.from_numpy(out[: len(rows), : self.outputs]).view(*x.shape[:-1], -1)


class Int8(Packed):
    """A matrix of 8-bit weights, with one scale per output."""

    @classmethod
    def of(cls, weight: Tensor) -> Int8:
        """Quantise weight [outputs, inputs] of any floating dtype."""
        return cls(packing.int8(_floats(weight)), *weight.shape)

    @property
    def matrix(self) -> Int8Matrix:
        return Int8Matrix(self.weight.numpy(), self.scales.numpy())


class Int4(Packed):
    """A matrix of 4-bit weights, with a scale and a low per 32 inputs of an output."""

    @classmethod
    def of(cls, weight: Tensor) -> Int4:
        """Quantise weight [outputs, inputs] of any floating dtype."""
        return cls(packing.int4(_floats(weight)), *weight.shape)

    @property
    def matrix(self) -> Int4Matrix:
        return Int4Matrix(self.weight.numpy(), self.scales.numpy())


def _floats(weight: Tensor) -> Floats:
    return np.ascontiguousarray(weight.detach().float().numpy())


def joined(parts: Sequence[Int8]) -> Int8:
    """Concatenate the outputs of several matrices; each must have whole blocks of outputs."""
    weight, scales = zip(*(part.matrix for part in parts), strict=True)
    matrix = Int8Matrix(np.concatenate(weight), np.concatenate(scales))
    return Int8(matrix, sum(part.outputs for part in parts), parts[0].inputs)


Compressed = type[Int8] | type[Int4]
COMPRESSED: Mapping[str, Compressed] = {"int8": Int8, "int4": Int4}


def compress_one(kind: Compressed, decoder: nn.Module, name: str, weight: Tensor) -> bool:
    """Replace a linear layer by a quantised matrix.

    Heads are quantised to 8 bits, also in int4: their outputs are sampled without another layer.

    Args:
        kind: The precision.
        decoder: The decoder, changed in place.
        name: The name of the layer's weight in the decoder's state.
        weight: The weight.

    Returns:
        Whether the layer was replaced; embeddings, norms and projections are not.
    """
    path, _, last = name.rpartition(".")
    part = path.partition(".")[0]
    if part not in ("layers", "heads") or last != "weight":
        return False
    if not isinstance(decoder.get_submodule(path), nn.Linear):
        return False
    decoder.set_submodule(path, (Int8 if part == "heads" else kind).of(weight))
    return True


def compress(kind: Compressed, decoder: Decoder) -> None:
    """Quantise all matrices of a decoder's layers and heads, one by one."""
    for name, weight in list(decoder.named_parameters()):
        compress_one(kind, decoder, name, weight.detach())


def is_compressed(decoder: Decoder) -> bool:
    """Return whether the matrices of a decoder are quantised."""
    return any(isinstance(head, Int8) for head in decoder.heads)
