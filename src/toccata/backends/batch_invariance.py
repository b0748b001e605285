"""Find the batch shapes in which a row gets the same bits, by trying them on the device.

Libraries choose a kernel by the shapes, and kernels add in different orders. Where a row's sum
depends on how many rows there are, its codes would depend on its neighbours. What agrees is found
by doing it: it depends on the device, and on the version of the library.
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


def agreeing(sizes: Sequence[int], run: Callable[[int], Tensor]) -> list[int]:
    """Those of `sizes` at which `run` gives the bits that it gives at the last; that one always.

    `run` makes rows [R, ...] that should all be the same.
    """
    last = run(sizes[-1])
    if not (last == last[:1]).all():
        log.warning("on this device a row's result depends on its place among %d", sizes[-1])
    found = [size for size in sizes[:-1] if bool((run(size) == last[:1]).all())] + [sizes[-1]]
    if len(found) < len(sizes):
        log.info("of the sizes %s, those that give the same bits are %s", list(sizes), found)
    return found


def agreeing_products(
    counts: Sequence[int], shapes: Iterable[tuple[int, int]], like: Tensor
) -> list[int]:
    """Numbers of rows at which products with matrices of `shapes` (out, in) agree."""
    found = list(counts)
    for height, width in shapes:
        for trial in range(TRIALS):
            row, matrix = _cancelling(height, width, trial, like)
            found = agreeing(found, partial(_product, row, matrix))
    return found


def _product(row: Tensor, matrix: Tensor, count: int) -> Tensor:
    return F.linear(row.repeat(count, 1), matrix)


def _cancelling(height: int, width: int, seed: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """A row [1, width] and a matrix [height, width] whose product is what rounding leaves of 0.

    So a change in the order of the sum changes nearly every result, not one in thousands.
    """
    matrix = _draw((height, width // 2), seed, like)
    row = _draw((1, width // 2), seed + TRIALS, like)
    return torch.cat([row, -row], 1), torch.cat([matrix, matrix], 1)


def agreeing_rows(counts: Sequence[int], heads: int, width: int, like: Tensor) -> list[int]:
    """Numbers of rows at which attention agrees."""
    query, keys, values = _drawn(heads, width, 256, like)
    mask = _mask(200, 256, like)

    def run(count: int) -> Tensor:
        seen, values_seen, visible = (x.expand(count, -1, -1, -1) for x in (keys, values, mask))
        return attend(query.repeat(count, 1, 1), seen, values_seen, visible)

    return agreeing(counts, run)


def agreeing_lengths(lengths: Sequence[int], heads: int, width: int, like: Tensor) -> list[int]:
    """Numbers of positions at which attention to the first few of them agrees."""
    query, keys, values = _drawn(heads, width, lengths[-1], like)

    def run(length: int) -> Tensor:
        mask = _mask(lengths[0] - 3, length, like)
        return attend(query, keys[:, :, :length], values[:, :, :length], mask)

    return agreeing(lengths, run)


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
