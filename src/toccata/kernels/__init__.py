"""CPU kernels of a step, compiled by numba for the processor of the machine.

Data flow of one layer: rows (norm, rounding to 8 bits) -> matmul (times packed weights) ->
attention (to the cache) -> matmul ... and at the end sampling. Arrays are numpy's; nothing here
knows torch. Compiled code is kept on disk, see `compiling`.
"""
