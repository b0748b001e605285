"""Tiles are tuples of FLOATS, row by row, that kernels multiply, add to and write as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types

from toccata.kernels.activations import PAIRS, emit_elu, emit_load, emit_store, is_half
from toccata.kernels.compiling import instruction, instruction_of_literals
from toccata.kernels.vectors import F32, FLOATS, I32, LANES, broadcast, call, pointer


def _places(builder: Any, at: Any, stride: Any, count: int, columns: int) -> list[Any]:
    """Return the index of each vector of a tile whose rows are `stride` apart."""
    rows = [builder.add(at, builder.mul(stride, stride.type(r))) for r in range(count // columns)]
    return [builder.add(row, at.type(q * LANES)) for row in rows for q in range(columns)]


def _each(builder: Any, tile: Any, change: Callable[[int, Any], Any]) -> Any:
    for i in range(len(tile.type)):
        tile = builder.insert_value(tile, change(i, builder.extract_value(tile, i)), i)
    return tile


@instruction_of_literals
def repeated(_: Any, rows: Any, columns: Any, array: Any, at: Any) -> Any:
    """Return a tile with array[at : at + 16 * columns] in every row."""
    count = columns.literal_value
    result = types.UniTuple(FLOATS, rows.literal_value * count)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, _, array, at = args
        kind = signature.args[2]
        row = [
            emit_load(context, builder, kind, array, builder.add(at, at.type(q * LANES)))
            for q in range(count)
        ]
        empty = ir.Constant(context.get_value_type(result), ir.Undefined)
        return _each(builder, empty, lambda i, _: row[i % count])

    return result(rows, columns, array, types.intp), generate


@instruction_of_literals
def zero_tile(_: Any, count: Any) -> Any:
    """Return a tile of `count` vectors, all zero."""
    result = types.UniTuple(FLOATS, count.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(context.get_value_type(result), None)

    return result(count), generate


@instruction_of_literals
def multiply_add(
    _: Any, tile: Any, x: Any, at: Any, stride: Any, weight: Any, line: Any, panel: Any,
    columns: Any,
) -> Any:  # fmt: skip
    """Add x[at + r * stride] times the weights from `line` on to each row r of the tile.

    Column q uses weight[line + q * panel : + 16]. In bfloat16, two numbers of x are multiplied with
    32 weights, of which the two of an output are adjacent.
    """
    count = columns.literal_value

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        tile, x, at, stride, weight, line, panel, _ = args
        half = is_half(signature.args[1])
        vector, scalar = (PAIRS, I32) if half else (FLOATS.ir, F32)
        weights = []
        for q in range(count):
            place = builder.add(line, builder.mul(panel, panel.type(q)))
            where = pointer(context, builder, signature.args[4], weight, place, vector)
            weights.append(builder.load(where, align=2))
        inputs = []
        for r in range(len(tile.type) // count):
            place = builder.add(at, builder.mul(stride, stride.type(r)))
            where = pointer(context, builder, signature.args[1], x, place, scalar)
            same = broadcast(builder, builder.load(where, align=2))
            inputs.append(builder.bitcast(same, vector))
        name = "llvm.x86.avx512bf16.dpbf16ps.512" if half else "llvm.fma.v16f32"

        def grow(i: int, old: Any) -> Any:
            factors = inputs[i // count], weights[i % count]
            return call(builder, name, FLOATS.ir, *((old, *factors) if half else (*factors, old)))

        return _each(builder, tile, grow)

    return tile(
        tile, x, types.intp, types.intp, weight, types.intp, types.intp, columns
    ), generate  # fmt: skip


@instruction_of_literals
def add_rows(_: Any, tile: Any, array: Any, at: Any, stride: Any, columns: Any) -> Any:
    """Add the tile that starts at index `at` of an array, with rows `stride` apart."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        tile, array, at, stride, _ = args
        places = _places(builder, at, stride, len(tile.type), columns.literal_value)

        def grow(i: int, old: Any) -> Any:
            more = emit_load(context, builder, signature.args[1], array, places[i])
            return builder.fadd(old, more)

        return _each(builder, tile, grow)

    return tile(tile, array, types.intp, types.intp, columns), generate


@instruction_of_literals
def put_rows(_: Any, tile: Any, array: Any, at: Any, stride: Any, columns: Any) -> Any:
    """Write the tile to an array from index `at` on, with rows `stride` apart."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        tile, array, at, stride, _ = args
        places = _places(builder, at, stride, len(tile.type), columns.literal_value)
        for i, place in enumerate(places):
            value = builder.extract_value(tile, i)
            emit_store(context, builder, signature.args[1], array, place, value)
        return context.get_dummy_value()

    return types.void(tile, array, types.intp, types.intp, columns), generate


@instruction
def elu_tile(_: Any, tile: Any) -> Any:
    """Apply ELU to the tile."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _each(builder, args[0], lambda _, x: emit_elu(builder, x))

    return tile(tile), generate


@instruction_of_literals
def pick(_: Any, tile: Any, index: Any) -> Any:
    """Return one vector of the tile."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.extract_value(args[0], index.literal_value)

    return FLOATS(tile, index), generate
