"""Quantise matrices to 8 or 4 bits, and pack them in the order in which kernels read them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toccata.kernels.matmul import BLOCK, INT4_GROUP, WORD, Floats, Int4Matrix, Int8Matrix
from toccata.kernels.rounding import GROUP

TINIEST = np.float32(1e-30)
ZERO_8 = 128


def int8(weight: Floats) -> Int8Matrix:
    """Quantise weight [N, D] to 8 bits, with a scale per output by its largest magnitude.

    N and D are padded, see `padded_shape`.
    """
    weight = _padded(weight)
    scales = np.maximum(np.abs(weight).max(1) / np.float32(127), TINIEST)
    numbers = np.rint(weight / scales[:, None]) + np.float32(ZERO_8)
    blocks = _blocks(numbers.astype(np.uint8))
    return Int8Matrix(np.ascontiguousarray(blocks.transpose(0, 2, 1, 3)).reshape(-1), scales)


def int4(weight: Floats) -> Int4Matrix:
    """Quantise weight [N, D] to 4 bits, with a scale and a low by the range of each 32 inputs.

    N and D are padded, see `padded_shape`.
    """
    weight = _padded(weight)
    groups = weight.reshape(len(weight), -1, INT4_GROUP)
    low, high = groups.min(-1), groups.max(-1)
    # Weights are rounded with the scale and the low in bfloat16, which the kernel reads.
    scale = np.maximum(_through_bfloat16((high - low) / np.float32(15)), TINIEST)
    low = _through_bfloat16(low)
    numbers = np.rint((groups - low[..., None]) / scale[..., None]).clip(0, 15).astype(np.uint8)
    words = _blocks(numbers.reshape(weight.shape)).transpose(0, 2, 1, 3)
    packed = words[:, ::2] | words[:, 1::2] << 4
    both = np.stack([scale, low], -1).reshape(-1, BLOCK, groups.shape[1], 2).transpose(0, 2, 3, 1)
    return Int4Matrix(np.ascontiguousarray(packed).reshape(-1), to_bfloat16(both).reshape(-1))


def padded_shape(outputs: int, inputs: int) -> tuple[int, int]:
    """Round a matrix's shape up to whole blocks of outputs and whole groups of inputs."""
    return -(-outputs // BLOCK) * BLOCK, -(-inputs // GROUP) * GROUP


def to_bfloat16(numbers: Floats) -> NDArray[np.uint16]:
    """Round finite numbers to the nearest bfloat16, as uint16."""
    bits = np.ascontiguousarray(numbers, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def _through_bfloat16(numbers: Floats) -> Floats:
    """Round to bfloat16 and convert back."""
    return (to_bfloat16(numbers).astype(np.uint32) << 16).view(np.float32)


def _padded(weight: Floats) -> Floats:
    outputs, inputs = padded_shape(*weight.shape)
    missing = ((0, outputs - weight.shape[0]), (0, inputs - weight.shape[1]))
    return np.pad(weight, missing) if outputs + inputs > sum(weight.shape) else weight


def _blocks(numbers: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Split into blocks and words: [N, D] -> [N / 16, 16, D / 4, 4]."""
    return numbers.reshape(-1, BLOCK, numbers.shape[1] // WORD, WORD)
