"""Integer dot products of a vector of weights with several rows of inputs.

Lane n of BYTES has four unsigned weights of output n, which are multiplied with the same four
signed inputs in all lanes. Rows are the elements of a tuple, which stays in registers.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types

from toccata.kernels.compiling import instruction, instruction_of_literals
from toccata.kernels.vectors import (
    BYTES,
    FLOATS,
    I16,
    I32,
    INTS,
    LANES,
    broadcast,
    call,
    constant,
    plain,
    pointer,
    vector_ir,
)

Builder = Any
_PAIRS = ir.VectorType(I16, 2 * LANES)


def has_dot_instruction() -> bool:
    """Return whether the processor has a dot product of four bytes in 512-bit registers."""
    return bool(get_host_cpu_features().get("avx512vnni"))


def _dot_of_instruction(builder: Builder, acc: Any, weights: Any, inputs: Any) -> Any:
    return call(builder, "llvm.x86.avx512.vpdpbusd.512", INTS.ir, acc, weights, inputs)


def _dot_of_pairs(builder: Builder, acc: Any, weights: Any, inputs: Any) -> Any:
    """Compute it on any processor: even and odd bytes as 16 bits, multiplied and added in pairs."""
    weights, inputs = builder.bitcast(weights, _PAIRS), builder.bitcast(inputs, _PAIRS)
    eight = constant(8, _PAIRS)
    even = (
        builder.and_(weights, constant(255, _PAIRS)),
        builder.ashr(builder.shl(inputs, eight), eight),
    )
    odd = builder.lshr(weights, eight), builder.ashr(inputs, eight)
    for a, b in (even, odd):
        acc = builder.add(acc, _sums_of_pairs(builder, a, b))
    return acc


def _sums_of_pairs(builder: Builder, a: Any, b: Any) -> Any:
    products = []
    for first in (0, 1):
        lanes = ir.Constant(vector_ir(I32), list(range(first, 2 * LANES, 2)))
        wide = [
            builder.sext(
                builder.shuffle_vector(v, ir.Constant(_PAIRS, ir.Undefined), lanes), INTS.ir
            )
            for v in (a, b)
        ]
        products.append(builder.mul(*wide))
    return builder.add(*products)


def _rows(builder: Builder, rows: Any, count: int, change: Any) -> Any:
    """Replace each element of a tuple by `change(row, element)`."""
    for row in range(count):
        changed = change(row, builder.extract_value(rows, row))
        rows = builder.insert_value(rows, changed, row)
    return rows


def _scalar(
    context: Any, builder: Builder, kind: Any, array: Any, at: Any, stride: Any, row: int, to: Any
) -> Any:
    """Load the element at `at + row * stride` into all lanes."""
    place = builder.add(at, builder.mul(stride, ir.Constant(stride.type, row)))
    where = pointer(context, builder, kind, array, place, to)
    return broadcast(builder, builder.load(where, align=1))


@instruction_of_literals
def spread(_: Any, array: Any, at: Any, stride: Any, count: Any) -> Any:
    """Return a tuple of `count` INTS with array[at + r * stride], int32, in all lanes of row r."""
    result = types.UniTuple(INTS, count.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        empty = ir.Constant(context.get_value_type(result), ir.Undefined)
        kind, (array, at, stride, _) = signature.args[0], args
        return _rows(
            builder, empty, result.count,
            lambda row, _: _scalar(context, builder, kind, array, at, stride, row, I32),
        )  # fmt: skip

    return result(array, types.intp, types.intp, count), generate


@instruction_of_literals
def zeros(_: Any, count: Any) -> Any:
    """Return a tuple of `count` FLOATS, all zero."""
    return _zeros_of(FLOATS, count)


@instruction_of_literals
def zero_ints(_: Any, count: Any) -> Any:
    """Return a tuple of `count` INTS, all zero."""
    return _zeros_of(INTS, count)


def _zeros_of(kind: Any, count: Any) -> Any:
    result = types.UniTuple(kind, count.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(context.get_value_type(result), None)

    return result(count), generate


@instruction
def dots(_: Any, accs: Any, weights: Any, inputs: Any, at: Any, stride: Any) -> Any:
    """Add weights . inputs[at + r * stride : + 4], int8, to accs[r] for every row r."""
    dot = _dot_of_instruction if has_dot_instruction() else _dot_of_pairs

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        accs, weights, array, at, stride = args
        words, kind = builder.bitcast(weights, INTS.ir), signature.args[2]

        def add(row: int, acc: Any) -> Any:
            four = _scalar(context, builder, kind, array, at, stride, row, I32)
            return dot(builder, acc, words, four)

        return _rows(builder, accs, signature.args[0].count, add)

    return accs(accs, BYTES, inputs, types.intp, types.intp), generate


@instruction
def add_scaled(_: Any, sums: Any, parts: Any, scales: Any, at: Any, stride: Any) -> Any:
    """Add parts[r] * scales[at + r * stride] to sums[r]; parts INTS or FLOATS, scales float32."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        sums, parts, array, at, stride = args
        kind, whole = signature.args[2], signature.args[1].dtype == INTS

        def add(row: int, old: Any) -> Any:
            scale = _scalar(context, builder, kind, array, at, stride, row, ir.FloatType())
            part = builder.extract_value(parts, row)
            part = builder.sitofp(part, FLOATS.ir) if whole else part
            return call(builder, "llvm.fma.v16f32", FLOATS.ir, part, scale, old)

        return _rows(builder, sums, signature.args[0].count, add)

    return sums(sums, parts, scales, types.intp, types.intp), generate


@instruction
def with_lows(_: Any, accs: Any, scales: Any, lows: Any, totals: Any, at: Any, stride: Any) -> Any:
    """Return accs[r] * scales + lows * totals[at + r * stride], lane by lane, as FLOATS."""
    result = types.UniTuple(FLOATS, accs.count)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        accs, scales, lows, array, at, stride = args
        kind = signature.args[3]

        def join(row: int, _: Any) -> Any:
            total = _scalar(context, builder, kind, array, at, stride, row, ir.FloatType())
            acc = builder.sitofp(builder.extract_value(accs, row), FLOATS.ir)
            low = builder.fmul(lows, total)
            return call(builder, "llvm.fma.v16f32", FLOATS.ir, acc, scales, low)

        empty = ir.Constant(context.get_value_type(result), ir.Undefined)
        return _rows(builder, empty, result.count, join)

    return result(accs, FLOATS, FLOATS, totals, types.intp, types.intp), generate


@instruction
def times(_: Any, sums: Any, scales: Any) -> Any:
    """Multiply every element of the tuple by FLOATS."""

    def emit(builder: Any, sums: Any, scales: Any) -> Any:
        return _rows(builder, sums, len(sums.type), lambda _, one: builder.fmul(one, scales))

    return sums(sums, FLOATS), plain(emit)


@instruction
def put(_: Any, out: Any, at: Any, stride: Any, sums: Any, add: Any) -> Any:
    """Write sums[r] to out[at + r * stride : + 16], or add it there if `add` is true."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        out, at, stride, sums, add = args
        for row in range(signature.args[3].count):
            place = builder.add(at, builder.mul(stride, ir.Constant(stride.type, row)))
            where = pointer(context, builder, signature.args[0], out, place, FLOATS.ir)
            new = builder.extract_value(sums, row)
            grown = builder.fadd(builder.load(where, align=4), new)
            builder.store(builder.select(add, grown, new), where, align=4)
        return context.get_dummy_value()

    return types.void(out, types.intp, types.intp, sums, types.boolean), generate


@instruction
def even_nibbles(_: Any, packed: Any) -> Any:
    """Return the lower 4 bits of each byte."""
    return BYTES(packed), plain(lambda builder, v: builder.and_(v, constant(15, BYTES.ir)))


@instruction
def odd_nibbles(_: Any, packed: Any) -> Any:
    """Return the upper 4 bits of each byte."""
    return BYTES(packed), plain(lambda builder, v: builder.lshr(v, constant(4, BYTES.ir)))
