"""Find the batch shapes in which a row gets the same bits, by trying them on the device.

Libraries choose a kernel by the shapes, and kernels add in different orders. If the sum of a row
depended on the number of rows, its codes would depend on the rest of the batch. Which shapes agree
depends on the device and on the version of the library, so they are tried.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from toccata.backends.static_attention import attend, mask_beyond

log = logging.getLogger(__name__)

TRIALS = 4


def invariant_sizes(sizes: Sequence[int], run: Callable[[int], Tensor]) -> list[int]:
    """Select the sizes at which `run` returns the same bits as at the last one.

    Args:
        sizes: Sizes to try, ascending.
        run: Returns rows [R, ...] for a size, which should all be equal.

    Returns:
        The sizes that agree, the last one included.
    """
    last = run(sizes[-1])
    if not (last == last[:1]).all():
        log.warning("on this device a row's result depends on its place among %d", sizes[-1])
    found = [size for size in sizes[:-1] if bool((run(size) == last[:1]).all())] + [sizes[-1]]
    if len(found) < len(sizes):
        log.info("of the sizes %s, %s compute the same bits", list(sizes), found)
    return found


def invariant_batches(
    counts: Sequence[int], shapes: Iterable[tuple[int, int]], like: Tensor
) -> list[int]:
    """Select the numbers of rows at which matrix products compute the same bits.

    Args:
        counts: Numbers of rows to try, ascending.
        shapes: The shapes (out, in) of the matrices.
        like: A tensor of the device and dtype.
    """
    found = list(counts)
    for height, width in shapes:
        for trial in range(TRIALS):
            row, matrix = _cancelling(height, width, trial, like)
            found = invariant_sizes(found, partial(_product, row, matrix))
    return found


def _product(row: Tensor, matrix: Tensor, count: int) -> Tensor:
    return F.linear(row.repeat(count, 1), matrix)


def _cancelling(height: int, width: int, seed: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return a row [1, width] and a matrix [height, width] whose exact product is 0.

    The computed product is rounding error alone, so that another order of the sum changes nearly
    every element, not one in thousands.
    """
    matrix = _draw((height, width // 2), seed, like)
    row = _draw((1, width // 2), seed + TRIALS, like)
    return torch.cat([row, -row], 1), torch.cat([matrix, matrix], 1)


def invariant_attention_rows(
    counts: Sequence[int], heads: int, width: int, like: Tensor
) -> list[int]:
    """Select the numbers of rows at which attention computes the same bits.

    Args:
        counts: Numbers of rows to try, ascending.
        heads: The number of attention heads.
        width: The width of a head.
        like: A tensor of the device and dtype.
    """
    query, keys, values = _drawn(heads, width, 256, like)
    mask = _mask(200, 256, like)

    def run(count: int) -> Tensor:
        repeated = (x.expand(count, -1, -1, -1) for x in (keys, values, mask))
        return attend(query.repeat(count, 1, 1), *repeated)

    return invariant_sizes(counts, run)


def invariant_attention_lengths(
    lengths: Sequence[int], heads: int, width: int, like: Tensor
) -> list[int]:
    """Select the numbers of positions at which attention to the first few computes the same bits.

    Args:
        lengths: Numbers of positions to try, ascending; those after the first are masked.
        heads: The number of attention heads.
        width: The width of a head.
        like: A tensor of the device and dtype.
    """
    query, keys, values = _drawn(heads, width, lengths[-1], like)

    def run(length: int) -> Tensor:
        mask = _mask(lengths[0] - 3, length, like)
        return attend(query, keys[:, :, :length], values[:, :, :length], mask)

    return invariant_sizes(lengths, run)


def _drawn(heads: int, width: int, length: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    query = _draw((1, heads, width), 0, like)
    keys, values = _draw((2, 1, heads, length, width), 1, like)
    return query, keys, values


def _draw(shape: tuple[int, ...], seed: int, like: Tensor) -> Tensor:
    generator = torch.Generator(like.device).manual_seed(seed)
    return torch.randn(shape, generator=generator, device=like.device).to(like.dtype)


def _mask(filled: int, length: int, like: Tensor) -> Tensor:
    positions = torch.arange(length, device=like.device)
    return mask_beyond(torch.full((1,), filled, device=like.device), positions, like.dtype)
