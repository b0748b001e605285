"""Matrices of a decoder in 8 or 4 bits, in place of its linear layers.

They are read as they lie and expanded in registers, so that a step reads a quarter of the bytes of
float32, or less. Inputs and outputs are float32, rounded to bfloat16 for the product. A row of a
product has the same bits whatever other rows there are. CPU only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from toccata.errors import InputError
from toccata.lm.decoder import Decoder

INT4_GROUP = 32
"""Neighbours along a row that share a scale and a zero in 4 bits."""


class _Packed(nn.Module):
    """A matrix [out, in] as its kernel reads it."""

    weight: Tensor
    scales: Tensor

    def __init__(self, weight: Tensor, scales: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("scales", scales)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., in] -> [..., out]."""
        rows = x.reshape(-1, x.shape[-1]).bfloat16()
        return self._product(rows).float().view(*x.shape[:-1], -1)

    def _product(self, rows: Tensor) -> Tensor:
        raise NotImplementedError


class Int8(_Packed):
    """weight [out, in] int8, from -127 to 127; scales [out] bfloat16."""

    @classmethod
    def of(cls, weight: Tensor) -> Int8:
        """The nearest to weight [out, in] of any floating dtype."""
        weight = weight.float()
        scales = (weight.abs().amax(1) / 127).clamp(min=1e-30).bfloat16()
        numbers = (weight / scales.float()[:, None]).round_().clamp_(-127, 127)
        return cls(numbers.to(torch.int8), scales)

    @classmethod
    def joined(cls, parts: Sequence[Int8]) -> Int8:
        """One whose outputs are those of all parts, in this order."""
        return cls(torch.cat([p.weight for p in parts]), torch.cat([p.scales for p in parts]))

    def _product(self, rows: Tensor) -> Tensor:
        made: Tensor = torch.ops.aten._weight_int8pack_mm(rows, self.weight, self.scales)
        return made


class Int4(_Packed):
    """Integers from 0 to 15 as the kernel packs them; scales [in / group, out, 2] bfloat16 hold a
    scale and a zero for each group of inputs.
    """

    @classmethod
    def of(cls, weight: Tensor) -> Int4:
        """The nearest to weight [out, in] of any floating dtype.

        Raises InputError for an `in` that is not whole groups.
        """
        if weight.shape[1] % INT4_GROUP:
            cure = f"a matrix is {weight.shape[1]} wide, not whole groups of {INT4_GROUP}; use int8"
            raise InputError("precision", "int4", cure)
        groups = weight.float().view(len(weight), -1, INT4_GROUP)
        low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
        scales = ((high - low) / 15).clamp(min=1e-30)
        numbers = ((groups - low) / scales).round_().clamp_(0, 15).to(torch.int32).flatten(1)
        # To the kernel zero is the number 8.
        both = torch.cat([scales, low + 8 * scales], -1).bfloat16()
        packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(numbers, 1)
        return cls(packed, both.transpose(0, 1).contiguous())

    def _product(self, rows: Tensor) -> Tensor:
        multiply = torch.ops.aten._weight_int4pack_mm_for_cpu
        made: Tensor = multiply(rows, self.weight, INT4_GROUP, self.scales)
        return made


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
