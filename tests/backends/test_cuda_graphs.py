"""The backend for CUDA, as far as that goes without a device, and the stand-in for one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.fakes import fake_decoder
from tests.recorder import PlainRecorder, StrictRecorder, recorded
from toccata.backends import best, create
from toccata.backends.batch_invariance import (
    invariant_attention_lengths,
    invariant_attention_rows,
    invariant_batches,
    invariant_sizes,
)
from toccata.backends.cuda_graphs import HEADROOM_BYTES, HEADROOM_SHARE, CudaGraphs
from toccata.backends.graph_capture import CudaGraphCapture
from toccata.backends.static_attention import Size
from toccata.devices import pick_precision
from toccata.engine.overlapped import OverlappedStepper
from toccata.errors import GenerationError, InputError

LIKE = torch.zeros(0)


def test_it_is_for_cuda_and_the_best_there() -> None:
    decoder = fake_decoder()
    assert best(decoder) == "torch_eager"
    with pytest.raises(InputError, match=r"cuda_graphs.*CUDA"):
        create("cuda_graphs", decoder)


@pytest.mark.parametrize(("native", "name"), [(True, "bf16"), (False, "fp16")])
def test_precision_is_one_that_the_device_computes_in(
    native: bool, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return native or including_emulation

    monkeypatch.setattr("torch.cuda.is_bf16_supported", supported)
    assert pick_precision(torch.device("cuda")).name == name


@pytest.mark.parametrize("cross_attention", [True, False])
def test_everything_is_on_the_device_and_nothing_looks_at_it(
    cross_attention: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Meta tensors refuse to be mixed with others, and have no values to look at.
    for probe in ("invariant_batches", "invariant_attention_rows", "invariant_attention_lengths"):
        monkeypatch.setattr(f"toccata.backends.cuda_graphs.{probe}", lambda sizes, *_: list(sizes))
    decoder = fake_decoder(cross_attention=cross_attention, beats=not cross_attention).to("meta")
    backend = recorded(decoder)
    ahead = OverlappedStepper(backend, decoder.config, slots=3, rows_per_slot=2, steps=60)
    memory = torch.zeros(5, 32, device="meta") if cross_attention else None
    sums = [] if cross_attention else [torch.zeros(9, 32), None]
    backend.open(0, 300, [memory, None], sums)
    embedded = backend.embed(torch.zeros(4, 7, dtype=torch.int64))
    backend.prefill(0, 0, torch.stack([embedded, embedded]))
    with torch.inference_mode():
        ahead.warm_up(3, 300)
    assert len(ahead._graphs) == 3 * 2
    assert ahead._table.codes.is_meta


def test_a_row_is_clean_however_far_its_neighbours_look() -> None:
    decoder = fake_decoder()
    codes = torch.randint(0, 17, (4, 3))
    backend = recorded(decoder)
    backend.open(0, 700, [torch.full((40, 32), torch.nan)])
    backend.prefill(0, 0, torch.full((1, 600, 32), torch.nan))
    backend.open(1, 700, [torch.ones(50, 32)])
    backend.open(0, 5, [torch.ones(2, 32)])
    rows = [backend.step([0, 1], [s, 600 + s], codes[:, s].expand(2, -1))[0] for s in range(3)]
    expected = decoder(codes[None], memory=torch.ones(1, 2, 32))[0]
    torch.testing.assert_close(torch.stack(rows, 1), expected, atol=1e-4, rtol=1e-4)


def test_there_is_room_for_what_is_prepared_and_no_more() -> None:
    backend = recorded(fake_decoder())
    backend.prepare([2, 4, 8, 16], 16)
    backend.open(0, 300, [None, None])
    assert backend.size_for(1, 257).rows == 2
    assert backend._cache.rows == 2
    assert backend.dummy_slot >= 512, "rows that nobody owns write behind all that is attended to"
    before = backend.layout
    backend.open(4, 20, [None, None])
    assert backend._cache.rows == 8
    assert backend.layout != before
    assert {size.length for size in backend.sizes} == {256, 512}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_agrees_here_is_found_out(dtype: torch.dtype) -> None:
    like = torch.zeros(0, dtype=dtype)
    counts = invariant_batches([1, 2, 4, 8, 16], {(128, 64), (64, 128)}, like)
    assert counts[-1] == 16
    row, weight = torch.randn(1, 64).to(dtype), torch.randn(128, 64).to(dtype)
    products = [torch.nn.functional.linear(row.repeat(count, 1), weight) for count in counts]
    assert all(torch.equal(one[:1].expand_as(one), one) for one in products)
    assert all(torch.equal(one[0], products[-1][0]) for one in products)
    assert invariant_attention_rows([2, 4], 2, 16, like)[-1] == 4
    assert invariant_attention_lengths([256, 512], 2, 16, like)[-1] == 512


def test_sizes_that_disagree_are_left_out() -> None:
    def run(count: int) -> Tensor:
        return torch.full((count, 3), 1.0 if count in (4, 16) else 2.0)

    assert invariant_sizes([1, 2, 4, 8, 16], run) == [4, 16]


def test_it_is_said_if_even_the_place_in_a_batch_matters(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert invariant_sizes([2, 4], lambda count: torch.arange(count)[:, None]) == [4]
    assert "its place among 4" in caplog.text


def memory_with_room_for(size: int) -> int:
    return int((HEADROOM_BYTES + size) / (1 - HEADROOM_SHARE)) + 1


def test_too_little_memory_is_an_error_that_changes_nothing() -> None:
    decoder, recorder = fake_decoder(), PlainRecorder()
    backend = CudaGraphs(decoder, recorder)
    backend.open(0, 200, [None])
    before, recorder.free = backend.layout, memory_with_room_for(0)
    with pytest.raises(GenerationError, match="fewer slots"):
        backend.open(1, 800, [None])
    assert backend.layout == before
    backend.open(1, 200, [None])


def test_too_many_slots_are_refused_and_too_long_ones_announced(
    caplog: pytest.LogCaptureFixture,
) -> None:
    decoder, recorder = fake_decoder(), PlainRecorder()
    ahead = OverlappedStepper(
        CudaGraphs(decoder, recorder), decoder.config, 4, rows_per_slot=2, steps=900
    )
    position = 3 * 8 * 2 * 32 * 4  # layers and one more; rows; keys and values [32]; float32
    recorder.free = memory_with_room_for(300 * position)
    with pytest.raises(InputError, match="slots: 4"):
        ahead.warm_up(4, 900)
    recorder.free = memory_with_room_for(700 * position)
    with caplog.at_level(logging.WARNING), torch.inference_mode():
        ahead.warm_up(4, 900)
    assert "holds 4 requests of 512 steps, not of 900" in caplog.text
    assert max(size.length for size in ahead._backend.sizes) == 512


def test_products_are_padded_to_where_they_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toccata.backends.cuda_graphs.invariant_batches", lambda *_: [8, 16])
    backend = recorded(fake_decoder())
    backend.prepare([2, 4, 16], 16)
    backend.open(0, 20, [None, None])
    assert backend.size_for(2, 20) == Size(rows=2, batch=8, length=256)
    codes = torch.zeros(2, 4, dtype=torch.int64)
    with torch.inference_mode():
        logits = backend.forward(backend.size_for(2, 1), codes, torch.zeros(2, dtype=torch.int64))
    assert logits.shape == (8, 4, 16)
    expected = fake_decoder()(codes[:1, :, None])[0, :, 0]
    torch.testing.assert_close(logits[0], expected, atol=1e-4, rtol=1e-4)


def test_the_kernel_for_attention_takes_these_shapes() -> None:
    def meta(*shape: int) -> Tensor:
        return torch.empty(shape, device="meta", dtype=torch.bfloat16)

    cache = meta(2, 8, 16, 320, 64)
    out = torch.ops.aten._scaled_dot_product_efficient_attention(
        meta(4, 16, 1, 64), cache[0, :4, :, :256], cache[1, :4, :, :256],
        meta(4, 1, 1, 256).expand(-1, 16, -1, -1), False,
    )[0]  # fmt: skip
    assert out.shape == (4, 16, 1, 64)


def test_memory_that_moved_is_seen() -> None:
    tensors = {"x": torch.zeros(3)}

    def work() -> None:
        tensors["x"].add_(1)

    replay = StrictRecorder().capture(work)
    replay()
    tensors["x"] = torch.zeros(3)
    with pytest.raises(AssertionError, match="was captured as"):
        replay()


def test_numbers_that_change_are_seen() -> None:
    position, x = [3], torch.zeros(9)

    def work() -> None:
        x[: position[0]].zero_()

    replay = StrictRecorder().capture(work)
    position[0] = 4
    with pytest.raises(AssertionError, match="was captured as"):
        replay()


@pytest.mark.parametrize(
    "act", [lambda x: x.max().item(), lambda x: x[x > 1], lambda x: torch.tensor([1.0]) + x]
)
def test_waiting_for_the_device_and_copying_to_it_are_seen(act: Callable[[Tensor], object]) -> None:
    x = torch.arange(3.0)

    def work() -> None:
        act(x)

    with pytest.raises(AssertionError, match=r"cannot be captured|looks at its values"):
        StrictRecorder().capture(work)


class FakeCuda:
    """Those parts of torch.cuda that record, each noting that it was called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        for name in ("stream", "device", "graph"):
            monkeypatch.setattr(f"torch.cuda.{name}", self._context(name))
        for name in ("Stream", "Event", "CUDAGraph", "current_stream"):
            monkeypatch.setattr(f"torch.cuda.{name}", self._maker(name))
        monkeypatch.setattr("torch.cuda.graph_pool_handle", lambda: (0, 1))
        monkeypatch.setattr("torch.cuda.synchronize", lambda _: self.calls.append("synchronize"))
        monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: tensor)

    def _context(self, name: str) -> Any:
        @contextmanager
        def context(*_: object, **options: object) -> Iterator[None]:
            self.calls.append(f"{name} {options}" if options else name)
            yield
            self.calls.append(f"end {name}")

        return context

    def _maker(self, name: str) -> Any:
        calls = self.calls

        class Made:
            def __getattr__(self, method: str) -> Any:
                return lambda *_: calls.append(f"{name}.{method}")

        return lambda *_, **__: Made()


def test_cuda_is_asked_in_the_right_order(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda(monkeypatch)
    recorder = CudaGraphCapture(torch.device("cuda:0"))
    replay = recorder.capture(lambda: cuda.calls.append("work"))
    warm = ["work", "work", "end stream"]
    assert cuda.calls[:3] == ["device", "Stream.wait_stream", "stream"]
    assert cuda.calls[3:7] == [*warm, "current_stream.wait_stream"]
    assert cuda.calls[7].startswith("graph {'pool': (0, 1), 'stream': ")
    assert "'capture_error_mode': 'thread_local'" in cuda.calls[7]
    assert cuda.calls[8:] == ["work", "end graph", "end device"]
    replay()
    place, values = torch.zeros(3), torch.ones(3)
    recorder.send(values, place)
    fetched = recorder.fetch(place)
    place.zero_()
    assert fetched().tolist() == [1, 1, 1]
    recorder.clear()
    assert cuda.calls[11:] == [
        "CUDAGraph.replay",
        "Event.record",
        "Event.synchronize",
        "synchronize",
    ]


def test_recordings_are_made_again_once_tensors_have_moved() -> None:
    decoder, recorder = fake_decoder(), PlainRecorder()
    backend = CudaGraphs(decoder, recorder)
    ahead = OverlappedStepper(backend, decoder.config, slots=4, rows_per_slot=2, steps=60)
    with torch.inference_mode():
        ahead.warm_up(1, 200)
        assert recorder.captured == 1
        ahead.warm_up(1, 200)
        assert recorder.captured == 1
        ahead.warm_up(2, 200)
    assert recorder.captured == 3
    assert recorder.cleared == 2
