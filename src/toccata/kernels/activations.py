"""Instructions for activations: bfloat16 conversion, ELU and the gates of an LSTM.

Functions named `emit_...` write LLVM instructions with a builder; larger instructions use them.
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types

from toccata.kernels.compiling import instruction
from toccata.kernels.vectors import FLOATS, INTS, LANES, Emit, call, constant, plain, pointer


class BFloat(ir.Type):  # type: ignore[misc]
    """LLVM's bfloat16, which llvmlite has no name for."""

    def _to_string(self) -> str:
        return "bfloat"


_HALVES = ir.VectorType(BFloat(), LANES)
PAIRS = ir.VectorType(BFloat(), 2 * LANES)
# ln 2 in two parts, so that n ln 2 is exact for the n of a float32.
_LN2 = (0.693359375, math.log(2) - 0.693359375)
_SERIES = [1 / math.factorial(n) for n in range(7, -1, -1)]
_LIMIT = 87.0


def processor_has(*features: str) -> bool:
    """Return whether the processor has all of these features, by LLVM's names."""
    found = get_host_cpu_features()
    return all(found.get(feature) for feature in features)


def is_half(array: Any) -> bool:
    """Return whether an array's type is bfloat16, stored as uint16."""
    return bool(array.dtype == types.uint16)


def emit_load(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    """Load FLOATS from an array of float32, or of bfloat16 stored as uint16."""
    stored = _HALVES if is_half(kind) else FLOATS.ir
    loaded = builder.load(pointer(context, builder, kind, array, at, stored), align=2)
    return builder.fpext(loaded, FLOATS.ir) if is_half(kind) else loaded


def emit_store(context: Any, builder: Any, kind: Any, array: Any, at: Any, value: Any) -> None:
    """Store FLOATS in an array of float32, or rounded in one of bfloat16."""
    stored = _HALVES if is_half(kind) else FLOATS.ir
    value = builder.fptrunc(value, stored) if is_half(kind) else value
    builder.store(value, pointer(context, builder, kind, array, at, stored), align=2)


def emit_exp(builder: Any, x: Any) -> Any:
    """Compute e^x for -87 <= x <= 87 to one or two ulp.

    x is reduced to |r| <= ln 2 / 2, for which the Taylor series is used.
    """
    scaled = builder.fmul(x, constant(math.log2(math.e), FLOATS.ir))
    n = call(builder, "llvm.rint.v16f32", FLOATS.ir, scaled)
    for part in _LN2:
        x = call(builder, "llvm.fma.v16f32", FLOATS.ir, n, constant(-part, FLOATS.ir), x)
    p = constant(_SERIES[0], FLOATS.ir)
    for term in _SERIES[1:]:
        p = call(builder, "llvm.fma.v16f32", FLOATS.ir, p, x, constant(term, FLOATS.ir))
    exponent = builder.add(builder.fptosi(n, INTS.ir), constant(127, INTS.ir))
    power = builder.shl(exponent, constant(23, INTS.ir))
    return builder.fmul(p, builder.bitcast(power, FLOATS.ir))


def _within(builder: Any, x: Any, low: float, high: float) -> Any:
    """Clamp to low .. high; nan becomes low."""
    for sign, end in ((">", low), ("<", high)):
        limit = constant(end, FLOATS.ir)
        x = builder.select(builder.fcmp_ordered(sign, x, limit), x, limit)
    return x


def emit_elu(builder: Any, x: Any) -> Any:
    """Compute ELU: x, or e^x - 1 below 0; nan stays."""
    small = emit_exp(builder, _within(builder, x, -_LIMIT, 0.0))
    below = builder.fsub(small, constant(1.0, FLOATS.ir))
    above = builder.fcmp_unordered(">", x, constant(0.0, FLOATS.ir))
    return builder.select(above, x, below)


def _sigmoid(builder: Any, x: Any) -> Any:
    one = constant(1.0, FLOATS.ir)
    e = emit_exp(builder, _within(builder, builder.fneg(x), -_LIMIT, _LIMIT))
    result = builder.fdiv(one, builder.fadd(one, e))
    return builder.select(builder.fcmp_unordered("uno", x, x), x, result)


def _tanh(builder: Any, x: Any) -> Any:
    two = constant(2.0, FLOATS.ir)
    doubled = builder.fmul(_sigmoid(builder, builder.fmul(x, two)), two)
    return builder.fsub(doubled, constant(1.0, FLOATS.ir))


def _function(emit: Emit) -> Any:
    @instruction
    def apply(_: Any, x: Any) -> Any:
        return FLOATS(x), plain(emit)

    return apply


sigmoid, tanh = _function(_sigmoid), _function(_tanh)


@instruction
def store_rounded(_: Any, array: Any, at: Any, value: Any) -> Any:
    """Store 16 numbers from index `at` on, in the array's precision."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit_store(context, builder, signature.args[0], *args)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate
