"""Arrays of all layers as one table of addresses, so that one call runs any number of layers.

numba compiles anew for every length of a tuple, and unpacking some hundred arrays takes longer than
a step of a small model. Whoever makes a table keeps its arrays alive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import carray, types
from numpy.typing import NDArray

from toccata.kernels.attention import BLOCK, HEAD, Cache
from toccata.kernels.compiling import compiled, instruction, overload
from toccata.kernels.matmul import Floats, Int4Matrix, Int8Matrix, Matrix

# Columns of a layer: a norm or a matrix takes two, a cache too.
NORM_SELF, QKV, OUT, NORM_CROSS, QUERY, CROSS_OUT, NORM_FFN, INTO, FROM, CACHE, MEMORY = range(
    0, 22, 2
)
COLUMNS = 22

Table = NDArray[np.int64]


def addresses(arrays: Sequence[NDArray[Any]]) -> list[int]:
    return [array.ctypes.data for array in arrays]


@instruction
def _pointer(_: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), generate


@compiled
def floats_at(address: int, count: int) -> Floats:
    made: Floats = carray(_pointer(address), (count,), np.float32)
    return made


@compiled
def cache_at(keys: int, values: int, rows: int, heads: int, positions: int) -> Cache:
    blocks = positions // BLOCK
    return Cache(
        carray(_pointer(keys), (rows, heads, blocks, HEAD, BLOCK), np.uint16),
        carray(_pointer(values), (rows, heads, positions, HEAD), np.uint16),
    )


def matrix_at(like: Matrix, weight: int, scales: int) -> Matrix:
    """A matrix of the kind of `like`; its arrays have no true length."""
    raise NotImplementedError


@overload(matrix_at)
def _matrix_at(like: Any, weight: Any, scales: Any) -> Any:
    def int8(like: Any, weight: Any, scales: Any) -> Any:
        return Int8Matrix(
            carray(_pointer(weight), (1,), np.uint8), carray(_pointer(scales), (1,), np.float32)
        )

    def int4(like: Any, weight: Any, scales: Any) -> Any:
        return Int4Matrix(
            carray(_pointer(weight), (1,), np.uint8), carray(_pointer(scales), (1,), np.uint16)
        )

    return int8 if like.instance_class is Int8Matrix else int4
