"""Linear layers with weights in 8 or 4 bits.

They are read as they lie and expanded in registers, so that a step reads a quarter of the bytes of
float32, or less. What they multiply is rounded to 8 bits, in groups of 64 numbers; outputs are
float32. A row of a product has the same bits whatever other rows there are. CPU only.
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
    """A matrix [outputs, inputs] as kernels read it: two flat buffers, see `kernels.matmul`."""

    weight: Tensor
    scales: Tensor

    def __init__(self, matrix: Matrix, outputs: int, inputs: int) -> None:
        super().__init__()
        self.outputs, self.inputs = outputs, inputs
        self.register_buffer("weight", torch.from_numpy(matrix.weight))
        self.register_buffer("scales", torch.from_numpy(matrix.scales))

    @property
    def matrix(self) -> Matrix:
        """The same memory for kernels."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """x [..., inputs] -> [..., outputs] float32."""
        padded_outputs, padded_inputs = packing.padded_shape(self.outputs, self.inputs)
        rows = x.detach().reshape(-1, self.inputs).float().numpy()
        rows = np.pad(rows, ((0, 0), (0, padded_inputs - self.inputs)))
        out = np.empty((padded_rows(len(rows)), padded_outputs), np.float32)
        rounded = Rounded.empty(*rows.shape)
        threads = torch.get_num_threads()
        thread_team.run(product, PRODUCT_LOOPS, threads, rows, self.matrix, len(rows), rounded, out)
        return torch.from_numpy(out[: len(rows), : self.outputs]).view(*x.shape[:-1], -1)


class Int8(Packed):
    """One scale per output."""

    @classmethod
    def of(cls, weight: Tensor) -> Int8:
        """The nearest to weight [outputs, inputs] of any floating dtype."""
        return cls(packing.int8(_floats(weight)), *weight.shape)

    @property
    def matrix(self) -> Int8Matrix:
        return Int8Matrix(self.weight.numpy(), self.scales.numpy())


class Int4(Packed):
    """A scale and a low per 32 inputs of an output."""

    @classmethod
    def of(cls, weight: Tensor) -> Int4:
        """The nearest to weight [outputs, inputs] of any floating dtype."""
        return cls(packing.int4(_floats(weight)), *weight.shape)

    @property
    def matrix(self) -> Int4Matrix:
        return Int4Matrix(self.weight.numpy(), self.scales.numpy())


def _floats(weight: Tensor) -> Floats:
    return np.ascontiguousarray(weight.detach().float().numpy())


def joined(parts: Sequence[Int8]) -> Int8:
    """One whose outputs are those of all parts, in this order; each has whole blocks of them."""
    weight, scales = zip(*(part.matrix for part in parts), strict=True)
    matrix = Int8Matrix(np.concatenate(weight), np.concatenate(scales))
    return Int8(matrix, sum(part.outputs for part in parts), parts[0].inputs)


Compressed = type[Int8] | type[Int4]
COMPRESSED: Mapping[str, Compressed] = {"int8": Int8, "int4": Int4}


def compress_one(kind: Compressed, decoder: nn.Module, name: str, weight: Tensor) -> bool:
    """Put a compressed matrix in place of the linear layer whose `weight` has that name.

    Heads are compressed to 8 bits at most: what they say is sampled as it is. False, and nothing
    happens, for embeddings, norms and projections.
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
    """Compress all matrices of its layers and heads, one by one."""
    for name, weight in list(decoder.named_parameters()):
        compress_one(kind, decoder, name, weight.detach())


def is_compressed(decoder: Decoder) -> bool:
    return any(isinstance(head, Int8) for head in decoder.heads)
