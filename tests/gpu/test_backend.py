"""One step on the device: right, the same however it is recorded, the same beside anybody."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.fakes import fake_decoder
from tests.gpu.models import CUDA, DTYPES, can, wide_decoder
from toccata.backends import best, create
from toccata.backends.batch_invariance import invariant_attention_lengths, invariant_attention_rows
from toccata.backends.cuda_graphs import CudaGraphs
from toccata.backends.static_attention import Size
from toccata.decoder.decoder import Decoder

each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def stepped(backend: CudaGraphs, row: int, codes: Tensor, start: int = 0) -> Tensor:
    steps = [backend.step([row], [start + s], codes[None, :, s])[0] for s in range(codes.shape[1])]
    return torch.stack(steps, dim=1)


def assert_near(logits: Tensor, want: Tensor, dtype: torch.dtype) -> None:
    assert logits.dtype is torch.float32
    if dtype is torch.float32:
        torch.testing.assert_close(logits, want, atol=2e-3, rtol=2e-3)
    assert F.cosine_similarity(logits.flatten(), want.flatten(), dim=0) > 0.99


@each_dtype
def test_prefill_and_steps_are_near_the_full_forward(dtype: torch.dtype) -> None:
    if not can(dtype):
        pytest.skip(f"needs a CUDA device that computes in {dtype}")
    decoder = fake_decoder().to(CUDA, dtype)
    codes, memory = torch.randint(0, 17, (4, 30), device=CUDA), torch.randn(5, 32).to(CUDA, dtype)
    backend = create(best(decoder), decoder)
    assert isinstance(backend, CudaGraphs)
    backend.open(2, 30, [memory, None])
    embedded = backend.embed(codes[:, :12])
    backend.prefill(2, 0, torch.stack([embedded, embedded]))
    want = decoder(codes[None], memory=memory[None])[0, :, 12:]
    assert_near(stepped(backend, 2, codes[:, 12:], start=12), want, dtype)
    null = decoder(codes[None])[0, :, 12:]
    assert_near(stepped(backend, 3, codes[:, 12:], start=12), null, dtype)


@each_dtype
def test_attention_has_the_same_bits_in_all_sizes(dtype: torch.dtype) -> None:
    if not can(dtype):
        pytest.skip(f"needs a CUDA device that computes in {dtype}")
    like = torch.zeros(0, dtype=dtype, device=CUDA)
    counts, lengths = [2, 4, 8, 16, 32, 64, 128], [256, 512, 1024, 1536]
    assert invariant_attention_rows(counts, 16, 64, like) == counts
    assert invariant_attention_lengths(lengths, 16, 64, like) == lengths


def test_a_replay_is_what_was_recorded_on_what_is_there_now() -> None:
    decoder = wide_decoder(torch.float16)
    backend = CudaGraphs(decoder)
    backend.prepare([2, 16], 16)
    backend.open(0, 300, [None, None])
    codes = torch.zeros(2, 4, dtype=torch.int64, device=CUDA)
    positions = torch.zeros(2, dtype=torch.int64, device=CUDA)
    out = torch.zeros(16, 4, 2048, device=CUDA)
    size = backend.size_for(2, 1)

    def work() -> None:
        out[: size.batch] = backend.forward(size, codes, positions)

    with torch.inference_mode():
        replay = backend.graph_capture.capture(work)
    for step in range(5):
        fresh = torch.randint(0, 2048, (2, 4))
        backend.graph_capture.send(fresh, codes)
        backend.graph_capture.send(torch.full((2,), step), positions)
        replay()
        made = backend.graph_capture.fetch(out)()
        want = backend.step([0, 1], [step, step], fresh).cpu()
        assert torch.equal(made[:2], want)


def test_sizes_that_were_chosen_give_the_same_bits_for_a_whole_step() -> None:
    dtype = torch.bfloat16 if can(torch.bfloat16) else torch.float16
    backend = CudaGraphs(wide_decoder(dtype, layers=6))
    backend.prepare([2, 4, 8, 16, 32, 64, 128], 128)
    backend.reserve(128, 1000)
    row = torch.randint(0, 2048, (1, 4), device=CUDA)
    sizes = list(backend.sizes)
    print("sizes that agree:", sizes)  # noqa: T201 - to be read with -s
    logits = [_alike(backend, size, row) for size in sizes]
    assert all(torch.equal(one, logits[-1]) for one in logits)


def _alike(backend: CudaGraphs, size: Size, row: Tensor) -> Tensor:
    """Logits of one row, which all rows of that size have in common."""
    positions = torch.full((size.rows,), 100, device=CUDA)
    logits = backend.forward(size, row.expand(size.rows, -1), positions)[: size.rows]
    assert torch.equal(logits, logits[:1].expand_as(logits))
    return logits[0]


def test_the_decoder_may_be_on_any_device() -> None:
    last = torch.device("cuda", torch.cuda.device_count() - 1)
    decoder: Decoder = fake_decoder().to(last)
    backend = CudaGraphs(decoder)
    backend.open(0, 9, [None])
    assert backend.step([0], [0], torch.zeros(1, 4, dtype=torch.int64)).device == last
