"""The kernels' backend: near the full forward over the same matrices, each row by itself."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.fakes import fake_decoder
from toccata.backends import best, create
from toccata.backends.packed_cpu import PackedCpu
from toccata.backends.torch_eager import TorchEager
from toccata.decoder.decoder import Decoder
from toccata.decoder.quantized import COMPRESSED, compress
from toccata.kernels import thread_team

DIM = 128
KINDS = list(COMPRESSED)


def packed(kind: str, **config: Any) -> Decoder:
    decoder = fake_decoder(dim=DIM, **config)
    compress(COMPRESSED[kind], decoder)
    return decoder


def steps(backend: PackedCpu | TorchEager, row: int, codes: Tensor, start: int = 0) -> Tensor:
    """Logits [K, S, card] of codes [K, S], one cached step at a time."""
    output = [backend.step([row], [start + s], codes[None, :, s])[0] for s in range(codes.shape[1])]
    return torch.stack(output, dim=1)


def assert_near(made: Tensor, want: Tensor) -> None:
    """Inputs of products are rounded to 8 bits by both, and a last bit can tip that."""
    assert (made - want).norm() / want.norm() < 0.05


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [1, 16, 33])
def test_steps_are_near_the_full_forward(kind: str, length: int) -> None:
    decoder = packed(kind)
    codes, memory = torch.randint(0, 17, (4, length)), torch.randn(5, DIM)
    backend = PackedCpu(decoder)
    backend.open(3, length, [memory, None])
    assert_near(steps(backend, 3, codes), decoder(codes[None], memory=memory[None])[0])
    assert_near(steps(backend, 4, codes), decoder(codes[None])[0])


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_near_those_of_the_eager_backend(kind: str) -> None:
    decoder = packed(kind, cross_attention=False, beats=True)
    codes, added, prefix = torch.randint(0, 17, (4, 20)), torch.randn(22, DIM), torch.randn(9, DIM)
    output = []
    for backend in (PackedCpu(decoder), TorchEager(decoder)):
        backend.open(2, 31, [None], [added])
        embedded = torch.cat([prefix, backend.embed(codes[:, :7])])
        backend.prefill(2, 0, embedded[None])
        output.append(steps(backend, 2, codes[:, 7:], start=16))
    assert_near(*output)


@pytest.mark.parametrize("cuts", [[6], [1, 2, 3], [16, 17]])
def test_prefill_has_the_bits_of_steps(cuts: list[int]) -> None:
    decoder = packed("int8")
    codes, memory = torch.randint(0, 17, (4, 24)), torch.randn(5, DIM)
    plain, chunked = PackedCpu(decoder), PackedCpu(decoder)
    for backend in (plain, chunked):
        backend.open(0, 24, [memory, None])
    expected = steps(plain, 0, codes)
    embedded = chunked.embed(codes).expand(2, -1, -1)
    for start, end in zip([0, *cuts], cuts, strict=False):
        chunked.prefill(0, start, embedded[:, start:end])
    output = steps(chunked, 0, codes[:, cuts[-1] :], start=cuts[-1])
    assert torch.equal(output, expected[:, cuts[-1] :])


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_has_the_same_bits_alone_and_among_others(kind: str) -> None:
    decoder = packed(kind)
    codes = torch.randint(0, 17, (11, 4, 20))
    together = PackedCpu(decoder)
    for row in range(11):
        together.open(row, 40, [torch.full((row + 1, DIM), 0.1)])
    rows = list(range(11))
    output = torch.stack([together.step(rows, [s] * 11, codes[..., s]) for s in range(20)], -2)
    for row in (0, 4, 10):
        alone = PackedCpu(decoder)
        alone.open(0, 20, [torch.full((row + 1, DIM), 0.1)])
        assert torch.equal(steps(alone, 0, codes[row]), output[row])


def test_threads_do_not_change_a_bit() -> None:
    decoder = packed("int8")
    codes = torch.randint(0, 17, (4, 12))
    before, output = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            backend = PackedCpu(decoder)
            backend.open(0, 12, [torch.full((3, DIM), 0.1)])
            output.append(steps(backend, 0, codes))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*output)


def test_growing_keeps_what_is_cached() -> None:
    decoder = packed("int8")
    codes = torch.randint(0, 17, (4, 10))
    backend, undisturbed = PackedCpu(decoder), PackedCpu(decoder)
    for each in (backend, undisturbed):
        each.open(0, 10, [torch.full((3, DIM), 0.1)])
    first = steps(backend, 0, codes[:, :5])
    backend.open(6, 500, [torch.randn(40, DIM)])
    rest = steps(backend, 0, codes[:, 5:], start=5)
    assert torch.equal(torch.cat([first, rest], 1), steps(undisturbed, 0, codes))


def test_a_reserve_changes_nothing_but_when_room_is_made() -> None:
    decoder = packed("int8")
    codes = torch.randint(0, 17, (4, 10))
    backend, plain = PackedCpu(decoder), PackedCpu(decoder)
    for each in (backend, plain):
        each.open(0, 10, [torch.full((3, DIM), 0.1)])
    first = steps(backend, 0, codes[:, :5])
    backend.reserve(40, 3000)
    backend.open(9, 2000, [None])
    rest = steps(backend, 0, codes[:, 5:], start=5)
    assert torch.equal(torch.cat([first, rest], 1), steps(plain, 0, codes))


def test_a_row_is_clean_after_an_owner_that_ended_on_nan() -> None:
    backend = PackedCpu(packed("int8"))
    backend.open(0, 20, [None])
    backend.prefill(0, 0, torch.full((1, 20, DIM), torch.nan))
    backend.open(0, 20, [None])
    assert steps(backend, 0, torch.randint(0, 17, (4, 3))).isfinite().all()


def test_nan_ends_in_the_logits_of_its_row() -> None:
    backend = PackedCpu(packed("int8"))
    backend.open(0, 5, [None, None])
    chunk = torch.zeros(2, 2, DIM)
    chunk[0, 1, 7] = torch.nan
    backend.prefill(0, 0, chunk)
    logits = backend.step([0, 1], [2, 2], torch.zeros(2, 4, dtype=torch.int64))
    assert logits[0].isnan().all()
    assert logits[1].isfinite().all()


def test_it_is_taken_where_it_fits() -> None:
    assert best(packed("int8")) == "packed_cpu"
    assert best(fake_decoder(dim=DIM)) == "torch_eager"
    narrow = fake_decoder()
    compress(COMPRESSED["int8"], narrow)
    assert best(narrow) == "torch_eager"
    assert isinstance(create("packed_cpu", packed("int4")), PackedCpu)


def test_helpers_survive_requests_that_come_and_go() -> None:
    """A late one must not see the table of another request, or it waits for tasks without end."""
    backend = PackedCpu(packed("int8", cross_attention=False))
    before, codes = torch.get_num_threads(), torch.randint(0, 17, (1, 4))
    try:
        torch.set_num_threads(2)
        for _ in range(200):
            backend.open(0, 20, [None])
            backend.step([0], [0], codes)
    finally:
        torch.set_num_threads(before)
    helpers, until = thread_team._helpers(1), time.monotonic() + 30
    while not helpers._jobs.empty() and time.monotonic() < until:
        time.sleep(0.01)
    assert helpers._jobs.empty()
