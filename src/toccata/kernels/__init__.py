"""CPU kernels of a step, compiled by numba for the processor of the machine.

The data flow of a layer is: rounding (norm, quantisation to 8 bits) -> matmul (with packed weights)
-> attention (to the cache) -> matmul ...; sampling comes last. Kernels work on NumPy arrays and do
not import torch. Compiled code is cached on disk, see `compiling`.
"""
