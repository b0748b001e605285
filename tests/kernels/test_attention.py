"""Attention to the cache, against torch's over the same bfloat16 keys and values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from tests.kernels.test_matmul import normal, unrounded
from toccata.kernels import thread_team
from toccata.kernels.attention import HEAD, Cache, Places, attend_memory, attend_self
from toccata.kernels.compiling import compiled
from toccata.kernels.layers import store_memory
from toccata.kernels.rounding import Rounded
from toccata.kernels.thread_team import ThreadTeam

Floats = NDArray[np.float32]
HEADS, WIDTH = 2, 2 * HEAD
NAN = 0x7FC0


@compiled
def attend_to_self(
    crew: ThreadTeam,
    qkv: Floats,
    rows: Places,
    starts: Places,
    steps: int,
    cache: Cache,
    into: Rounded,
) -> None:
    attend_self(crew, 0, qkv, rows, starts, steps, cache, into)


@compiled
def attend_to_memory(
    crew: ThreadTeam, query: Floats, rows: Places, lengths: Places, memory: Cache, into: Rounded
) -> None:
    attend_memory(crew, 0, query, rows, lengths, 1, memory, into)


def used_cache(rows: int, positions: int) -> Cache:
    """As an owner left it that ended on nan."""
    cache = Cache.empty(rows, HEADS, positions)
    cache.keys[:], cache.values[:] = NAN, NAN
    return cache


def attended(qkv: torch.Tensor) -> NDArray[np.float32]:
    """qkv [R, S, 3 D] -> [R, S, D], causal, with keys and values in bfloat16."""
    query, keys, values = qkv.view(*qkv.shape[:2], 3, HEADS, HEAD).permute(2, 0, 3, 1, 4)
    keys, values = keys.bfloat16().float(), values.bfloat16().float()
    out = F.scaled_dot_product_attention(query, keys, values, is_causal=True)
    return out.transpose(1, 2).flatten(2).numpy()


def near(made: Rounded, want: NDArray[np.float32]) -> None:
    flat = want.reshape(-1, WIDTH)
    off = np.abs(unrounded(made)[: len(flat)] - flat)
    # What is found is rounded to 127 steps of its largest.
    assert off.max() < 0.005 * np.abs(flat).max()


@pytest.mark.parametrize("length", [1, 15, 16, 17, 50])
def test_a_chunk_sees_what_came_before_and_itself(length: int) -> None:
    rows = np.array([3, 0])
    qkv = normal(2 * length, 3 * WIDTH)
    found = Rounded.empty(2 * length, WIDTH)
    thread_team.run(
        attend_to_self, 1, 2, qkv, rows, np.zeros(2, np.int64), length, used_cache(4, length), found
    )
    near(found, attended(torch.from_numpy(qkv).view(2, length, -1)))


@pytest.mark.parametrize("cut", [1, 16, 23])
def test_steps_find_the_bits_that_one_chunk_finds(cut: int) -> None:
    length, rows = 40, np.array([1])
    qkv = normal(length, 3 * WIDTH)
    whole, part = Rounded.empty(length, WIDTH), Rounded.empty(cut, WIDTH)
    thread_team.run(
        attend_to_self, 1, 2, qkv, rows, np.zeros(1, np.int64), length, used_cache(2, length), whole
    )
    cache = used_cache(2, length)
    thread_team.run(attend_to_self, 1, 2, qkv[:cut], rows, np.zeros(1, np.int64), cut, cache, part)
    for position in range(cut, length):
        step = Rounded.empty(1, WIDTH)
        thread_team.run(
            attend_to_self,
            1,
            2,
            qkv[position : position + 1],
            rows,
            np.array([position]),
            1,
            cache,
            step,
        )
        assert np.array_equal(step.numbers[0], whole.numbers[position])
        assert np.array_equal(step.scales[0], whole.scales[position])


@pytest.mark.parametrize("length", [1, 16, 21])
def test_memory_is_seen_in_full_and_none_gives_nothing(length: int) -> None:
    both, query = normal(length, 2 * WIDTH), normal(2, WIDTH, seed=1)
    memory = used_cache(3, length)
    thread_team.run(store_memory, 1, 2, both, 2, length, memory)
    found = Rounded.empty(2, WIDTH)
    lengths = np.array([0, 0, length])
    thread_team.run(attend_to_memory, 1, 2, query, np.array([0, 2]), lengths, memory, found)
    keys, values = torch.from_numpy(both).view(-1, 2, HEADS, HEAD).permute(1, 2, 0, 3)
    one = torch.from_numpy(query[1]).view(HEADS, 1, HEAD)
    expected = F.scaled_dot_product_attention(
        one, keys.bfloat16().float(), values.bfloat16().float()
    )
    assert not unrounded(found)[0].any()
    near(found, np.stack([np.zeros(WIDTH, np.float32), expected.flatten().numpy()]))


def test_large_scores_do_not_overflow() -> None:
    qkv = normal(30, 3 * WIDTH) * 100
    found = Rounded.empty(30, WIDTH)
    cache = used_cache(1, 30)
    thread_team.run(
        attend_to_self, 1, 2, qkv, np.zeros(1, np.int64), np.zeros(1, np.int64), 30, cache, found
    )
    near(found, attended(torch.from_numpy(qkv)[None]))
