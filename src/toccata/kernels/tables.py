"""The arrays of all layers as one table of addresses, so that one call runs any number of layers.

numba compiles a function again for every length of a tuple, and unpacking some hundred arrays takes
longer than a step of a small model. The owner of a table must keep its arrays alive.
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

# The columns of a layer: a norm, a matrix and a cache take two each.
NORM_SELF, QKV, OUT, NORM_CROSS, QUERY, CROSS_OUT, NORM_FFN, INTO, FROM, CACHE, MEMORY = range(
    0, 22, 2
)
COLUMNS = 22

Table = NDArray[np.int64]


def addresses(arrays: Sequence[NDArray[Any]]) -> list[int]:
    """Return the address of each array's first element."""
    return [array.ctypes.data for array in arrays]


@instruction
def _pointer(_: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), generate


@compiled
def floats_at(address: int, count: int) -> Floats:
    """Return the array of `count` float32 at an address."""
    array: Floats = carray(_pointer(address), (count,), np.float32)
    return array


@compiled
def cache_at(keys: int, values: int, rows: int, heads: int, positions: int) -> Cache:
    """Return the cache whose keys and values are at two addresses."""
    blocks = positions // BLOCK
    return Cache(
        carray(_pointer(keys), (rows, heads, blocks, HEAD, BLOCK), np.uint16),
        carray(_pointer(values), (rows, heads, positions, HEAD), np.uint16),
    )


def matrix_at(like: Matrix, weight: int, scales: int) -> Matrix:
    """Return the matrix at two addresses, of the type of `like`; its arrays have length 1."""
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
