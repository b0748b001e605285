"""The arithmetic of a step on a CPU, compiled for the processor at hand by numba.

Data flow of one layer: rows (norm, rounding to 8 bits) -> matmul (times packed weights) ->
attention (to the cache) -> matmul ... and at the end sampling. Arrays are numpy's; nothing here
knows torch. Compiled code is kept on disk, see `compiling`.
"""
