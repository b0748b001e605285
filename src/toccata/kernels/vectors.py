"""Vectors of 512 bits in compiled kernels, whose results do not depend on numba's vectorisation.

A kernel is a numba function that computes with three types: BYTES (64 unsigned numbers of 8 bits),
INTS (16 signed numbers of 32 bits) and FLOATS (16 float32). Where registers are narrower, LLVM
splits them, with the same results. No operation is reordered or fused unless its name says so,
so that a sum has the same bits on every call. Arrays are contiguous; an index counts elements of
the flattened array, and is not checked.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, register_model

from toccata.kernels.compiling import instruction, overload

LANES = 16
WHOLE, WHOLE_BITS = 1.5 * 2.0**23, 0x4B400000
I8, I16, I32, F32 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.FloatType()


class Vector(types.Type):  # type: ignore[misc]
    """A numba type: `count` elements of an LLVM type, held in registers."""

    def __init__(self, name: str, element: ir.Type, count: int) -> None:
        self.ir = ir.VectorType(element, count)
        super().__init__(name=name)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, kind.ir)


BYTES = Vector("bytes_x64", I8, 4 * LANES)
INTS = Vector("ints_x16", I32, LANES)
FLOATS = Vector("floats_x16", F32, LANES)
SHORTS = ir.VectorType(I16, LANES)

Emit = Callable[..., Any]


def vector_ir(element: ir.Type) -> ir.VectorType:
    """Return LLVM's type of 16 elements."""
    return ir.VectorType(element, LANES)


def call(builder: Any, name: str, result: ir.Type, *args: Any) -> Any:
    """Call the LLVM intrinsic with this full name."""
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


def constant(value: float | int, kind: ir.VectorType) -> ir.Constant:
    """Return a constant vector with `value` in all lanes."""
    return ir.Constant(kind, [value] * kind.count)


def broadcast(builder: Any, scalar: Any) -> Any:
    """Return a vector with `scalar` in all lanes."""
    kind = vector_ir(scalar.type)
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(I32, 0))
    zeros = ir.Constant(vector_ir(I32), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)


def pointer(context: Any, builder: Any, array_type: Any, array: Any, at: Any, to: ir.Type) -> Any:
    """Return the pointer to element `at` of an array of any shape, cast to the type `to`."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), to.as_pointer())


def plain(emit: Emit) -> Emit:
    """Make a code generator of a function that needs only the builder and the arguments."""
    return lambda context, builder, signature, args: emit(builder, *args)


@instruction
def fma(_: Any, a: Any, b: Any, c: Any) -> Any:
    """Compute a * b + c, rounded once."""
    return FLOATS(a, b, c), plain(
        lambda builder, *v: call(builder, "llvm.fma.v16f32", FLOATS.ir, *v)
    )


@instruction
def at_least(_: Any, a: Any, bound: Any) -> Any:
    """Return the maximum of `a` and a bound that is not nan; nan in `a` stays."""
    return FLOATS(a, bound), plain(lambda builder, *v: _bounded(builder, "<", *v))


@instruction
def at_most(_: Any, a: Any, bound: Any) -> Any:
    """Return the minimum of `a` and a bound that is not nan; nan in `a` stays."""
    return FLOATS(a, bound), plain(lambda builder, *v: _bounded(builder, ">", *v))


def _bounded(builder: Any, beyond: str, a: Any, bound: Any) -> Any:
    return builder.select(builder.fcmp_ordered(beyond, a, bound), bound, a)


@instruction
def magnitude(_: Any, a: Any) -> Any:
    """Return the absolute values."""
    return FLOATS(a), plain(lambda builder, v: call(builder, "llvm.fabs.v16f32", FLOATS.ir, v))


@instruction
def nearest(_: Any, a: Any) -> Any:
    """Round numbers below 2^22 to INTS, ties to even; the result for nan is arbitrary.

    They are added to a number so large that its last bit is worth 1, which rounds them.
    """

    def emit(builder: Any, v: Any) -> Any:
        moved = builder.bitcast(builder.fadd(v, constant(WHOLE, FLOATS.ir)), INTS.ir)
        return builder.sub(moved, constant(WHOLE_BITS, INTS.ir))

    return INTS(a), plain(emit)


@instruction
def power_of_two(_: Any, a: Any) -> Any:
    """Compute 2^a for INTS from -126 to 127."""

    def emit(builder: Any, v: Any) -> Any:
        exponent = builder.shl(builder.add(v, constant(127, INTS.ir)), constant(23, INTS.ir))
        return builder.bitcast(exponent, FLOATS.ir)

    return FLOATS(a), plain(emit)


@instruction
def to_floats(_: Any, a: Any) -> Any:
    """Convert INTS to FLOATS."""
    return FLOATS(a), plain(lambda builder, v: builder.sitofp(v, FLOATS.ir))


@instruction
def splat(_: Any, number: Any) -> Any:
    """Return FLOATS with `number`, a float32, in all lanes."""
    return FLOATS(types.float32), plain(broadcast)


@instruction
def first_lanes(_: Any, a: Any, count: Any, other: Any) -> Any:
    """Return lanes 0 .. count - 1 of `a`, and the others of `other`."""

    def emit(builder: Any, a: Any, count: Any, other: Any) -> Any:
        lanes = ir.Constant(vector_ir(I32), list(range(LANES)))
        within = builder.icmp_signed("<", lanes, broadcast(builder, count))
        return builder.select(within, a, other)

    return FLOATS(a, types.int32, other), plain(emit)


@instruction
def total(_: Any, a: Any) -> Any:
    """Return the sum of all lanes, float32: 8 lanes are added to 8, then 4 to 4, 2 to 2, 1 to 1."""

    def emit(builder: Any, v: Any) -> Any:
        return builder.extract_element(_fold(builder, v, builder.fadd), ir.Constant(I32, 0))

    return types.float32(a), plain(emit)


@instruction
def largest(_: Any, a: Any) -> Any:
    """Return the largest of all lanes, float32; nan if any lane is nan."""

    def emit(builder: Any, v: Any) -> Any:
        def pick(a: Any, b: Any) -> Any:
            return call(builder, "llvm.maximum.v16f32", FLOATS.ir, a, b)

        return builder.extract_element(_fold(builder, v, pick), ir.Constant(I32, 0))

    return types.float32(a), plain(emit)


@instruction
def peak(_: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Return the largest magnitude of all lanes, float32; nan if any lane is nan.

    Without the sign, the bits of floats have the order of their values, and nan is the largest.
    """

    def emit(builder: Any, *vectors: Any) -> Any:
        def pick(a: Any, b: Any) -> Any:
            return builder.select(builder.icmp_signed(">", a, b), a, b)

        without_sign = constant(0x7FFFFFFF, INTS.ir)
        a, b, c, d = (builder.and_(builder.bitcast(v, INTS.ir), without_sign) for v in vectors)
        highest = _fold(builder, pick(pick(a, b), pick(c, d)), pick)
        return builder.bitcast(builder.extract_element(highest, ir.Constant(I32, 0)), F32)

    return types.float32(a, b, c, d), plain(emit)


def _fold(builder: Any, v: Any, join: Emit) -> Any:
    for half in (8, 4, 2, 1):
        moved = [(lane + half) % LANES for lane in range(LANES)]
        v = join(v, builder.shuffle_vector(v, v, ir.Constant(vector_ir(I32), moved)))
    return v


@instruction
def total_int(_: Any, a: Any) -> Any:
    """Return the sum of all lanes of INTS, int32."""
    name = "llvm.vector.reduce.add.v16i32"
    return types.int32(a), plain(lambda builder, v: call(builder, name, I32, v))


@instruction
def load(_: Any, array: Any, at: Any) -> Any:
    """Load 16 numbers from index `at` on: float32, or bfloat16 stored as uint16."""
    half = array.dtype == types.uint16

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = SHORTS if half else FLOATS.ir
        place = pointer(context, builder, signature.args[0], args[0], args[1], kind)
        loaded = builder.load(place, align=2 if half else 4)
        return widened(builder, loaded) if half else loaded

    return FLOATS(array, types.intp), generate


def widened(builder: Any, shorts: Any) -> Any:
    """Convert bfloat16, as 16 bits, to float32."""
    high = builder.shl(builder.zext(shorts, INTS.ir), constant(16, INTS.ir))
    return builder.bitcast(high, FLOATS.ir)


@instruction
def load_bytes(_: Any, array: Any, at: Any) -> Any:
    """Load 64 bytes from index `at` on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(
            pointer(context, builder, signature.args[0], args[0], args[1], BYTES.ir), align=1
        )

    return BYTES(array, types.intp), generate


@instruction
def prefetch(_: Any, array: Any, at: Any) -> Any:
    """Prefetch the cache line at index `at`; an address that does not exist is ignored."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = pointer(context, builder, signature.args[0], args[0], args[1], I8)
        kind = ir.FunctionType(ir.VoidType(), [place.type, I32, I32, I32])
        name = "llvm.prefetch.p0"
        fetch = cgutils.get_or_insert_function(builder.module, kind, name)
        builder.call(fetch, [place, *(ir.Constant(I32, flag) for flag in (0, 2, 1))])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@instruction
def store(_: Any, array: Any, at: Any, value: Any) -> Any:
    """Store 16 numbers from index `at` on: FLOATS as float32, or INTS from -128 to 127 as int8."""
    small = value == INTS

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = vector_ir(I8) if small else FLOATS.ir
        written = builder.trunc(args[2], kind) if small else args[2]
        place = pointer(context, builder, signature.args[0], args[0], args[1], kind)
        builder.store(written, place, align=1 if small else 4)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


def _operator(function: Emit, name: str) -> None:
    """Let kernels use an operator with two FLOATS."""

    @instruction
    def apply(_: Any, a: Any, b: Any) -> Any:
        return FLOATS(a, b), plain(lambda builder, *v: getattr(builder, name)(*v))

    @overload(function)
    def typed(a: Any, b: Any) -> Any:
        def run(a: Any, b: Any) -> Any:
            return apply(a, b)

        return run if a == FLOATS and b == FLOATS else None


_operator(operator.add, "fadd")
_operator(operator.sub, "fsub")
_operator(operator.mul, "fmul")
_operator(operator.truediv, "fdiv")
