"""Integer dot products of a vector of weights with several rows of inputs.

Lane n of BYTES holds weights [4] of output n, unsigned; they are multiplied with the same four
inputs, signed, in all lanes. Rows are the elements of a tuple, which stays in registers.
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
    """Whether this processor multiplies and adds four bytes at a time, 64 bytes wide."""
    return bool(get_host_cpu_features().get("avx512vnni"))


def _dot_of_instruction(builder: Builder, acc: Any, weights: Any, inputs: Any) -> Any:
    return call(builder, "llvm.x86.avx512.vpdpbusd.512", INTS.ir, acc, weights, inputs)


def _dot_of_pairs(builder: Builder, acc: Any, weights: Any, inputs: Any) -> Any:
    """For any processor: even and odd bytes as 16 bits, which most multiply and add in pairs."""
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
    halves = []
    for first in (0, 1):
        lanes = ir.Constant(vector_ir(I32), list(range(first, 2 * LANES, 2)))
        wide = [
            builder.sext(
                builder.shuffle_vector(v, ir.Constant(_PAIRS, ir.Undefined), lanes), INTS.ir
            )
            for v in (a, b)
        ]
        halves.append(builder.mul(*wide))
    return builder.add(*halves)


def _rows(builder: Builder, rows: Any, count: int, change: Any) -> Any:
    """Each element of a tuple replaced by what `change(row, element)` makes of it."""
    for row in range(count):
        made = change(row, builder.extract_value(rows, row))
        rows = builder.insert_value(rows, made, row)
    return rows


def _scalar(
    context: Any, builder: Builder, kind: Any, array: Any, at: Any, stride: Any, row: int, to: Any
) -> Any:
    """What lies at `at + row * stride`, in all lanes."""
    place = builder.add(at, builder.mul(stride, ir.Constant(stride.type, row)))
    where = pointer(context, builder, kind, array, place, to)
    return broadcast(builder, builder.load(where, align=1))


@instruction_of_literals
def spread(_: Any, array: Any, at: Any, stride: Any, count: Any) -> Any:
    """array int32 -> a tuple of `count` INTS, row r holding array[at + r * stride]."""
    made = types.UniTuple(INTS, count.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        empty = ir.Constant(context.get_value_type(made), ir.Undefined)
        kind, (array, at, stride, _) = signature.args[0], args
        return _rows(
            builder, empty, made.count,
            lambda row, _: _scalar(context, builder, kind, array, at, stride, row, I32),
        )  # fmt: skip

    return made(array, types.intp, types.intp, count), generate


@instruction_of_literals
def zeros(_: Any, count: Any) -> Any:
    """A tuple of `count` FLOATS, all zero."""
    return _nothing(FLOATS, count)


@instruction_of_literals
def no_ints(_: Any, count: Any) -> Any:
    """A tuple of `count` INTS, all zero."""
    return _nothing(INTS, count)


def _nothing(kind: Any, count: Any) -> Any:
    made = types.UniTuple(kind, count.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(context.get_value_type(made), None)

    return made(count), generate


@instruction
def dots(_: Any, accs: Any, weights: Any, inputs: Any, at: Any, stride: Any) -> Any:
    """accs[r] + weights . inputs[at + r * stride : + 4] for every row; inputs int8."""
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
    """sums[r] + parts[r] * scales[at + r * stride]; parts INTS or FLOATS, scales float32."""

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
    """accs[r] * scales + lows * totals[at + r * stride], lane by lane: a tuple of FLOATS."""
    made = types.UniTuple(FLOATS, accs.count)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        accs, scales, lows, array, at, stride = args
        kind = signature.args[3]

        def join(row: int, _: Any) -> Any:
            total = _scalar(context, builder, kind, array, at, stride, row, ir.FloatType())
            acc = builder.sitofp(builder.extract_value(accs, row), FLOATS.ir)
            low = builder.fmul(lows, total)
            return call(builder, "llvm.fma.v16f32", FLOATS.ir, acc, scales, low)

        empty = ir.Constant(context.get_value_type(made), ir.Undefined)
        return _rows(builder, empty, made.count, join)

    return made(accs, FLOATS, FLOATS, totals, types.intp, types.intp), generate


@instruction
def times(_: Any, sums: Any, scales: Any) -> Any:
    """Every element of the tuple times FLOATS."""

    def emit(builder: Any, sums: Any, scales: Any) -> Any:
        return _rows(builder, sums, len(sums.type), lambda _, one: builder.fmul(one, scales))

    return sums(sums, FLOATS), plain(emit)


@instruction
def put(_: Any, out: Any, at: Any, stride: Any, sums: Any, add: Any) -> Any:
    """out[at + r * stride : + 16] becomes sums[r], or grows by it."""

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
    """The lower 4 bits of each byte."""
    return BYTES(packed), plain(lambda builder, v: builder.and_(v, constant(15, BYTES.ir)))


@instruction
def odd_nibbles(_: Any, packed: Any) -> Any:
    """The upper 4 bits of each byte."""
    return BYTES(packed), plain(lambda builder, v: builder.lshr(v, constant(4, BYTES.ir)))
