"""Whole generations on the device: one step ahead, alone and among others."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch

from tests.engine.helpers import finish, full_forward, random_codes, request, run
from tests.fakes import fake_decoder, fake_model
from tests.gpu.models import CUDA, DTYPES, can, on_device, wide_model
from toccata.backends import BACKENDS
from toccata.conditioners.base import Conditions
from toccata.engine.engine import Engine
from toccata.engine.sequence import Codes, Request
from toccata.models.model import Model

PARAMS: list[dict[str, Any]] = [
    {},
    {"top_p": 0.9},
    {"cfg": 1.0},
    {"temperature": 0.7, "top_k": 50},
    {"temperature": 0.0},
]
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def small_model(**parts: bool) -> Model:
    model = fake_model(**parts)
    return on_device(model, model.lm.to(CUDA))


@pytest.mark.parametrize("parts", [{}, {"melody": True}, {"melody": True, "beats": True}])
def test_codes_are_those_of_the_reference_backend(parts: dict[str, bool]) -> None:
    model = small_model(**parts)
    wanted = request(model, frames=40, temperature=0.0, continued=random_codes(5))
    ours, theirs = Engine(model), Engine(model, backend="torch_eager")
    # In float32 and with logits this far apart, greedy codes do not hang on last bits.
    assert np.array_equal(run(ours, wanted), run(theirs, wanted))


def test_greedy_codes_follow_the_uncached_forward() -> None:
    model = small_model()
    wanted = request(model, frames=20, temperature=0.0, cfg=1.0)
    codes = run(Engine(model), wanted)
    on_host = fake_model()
    on_host.lm = fake_decoder()
    text = wanted.conditions(0).text
    assert text is not None
    best = full_forward(on_host, codes, memory=text.cpu()[None]).argmax(-1)
    assert np.array_equal(codes, best)


def test_recorded_equals_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "recorded", ("tests.recorder", "recorded"))
    model = wide_model(torch.float16)
    for params in PARAMS:
        wanted = request(model, frames=60, **params)
        recorded, plain = Engine(model), Engine(model, backend="recorded")
        assert np.array_equal(run(recorded, wanted), run(plain, wanted))


@each_dtype
@pytest.mark.parametrize("slots", [8, 64])
def test_alone_equals_among_many(dtype: torch.dtype, slots: int) -> None:
    if not can(dtype):
        pytest.skip(f"needs a CUDA device that computes in {dtype}")
    model = wide_model(dtype)
    engine = Engine(model, slots=slots)
    wanted = [
        request(model, f"piece {n}", frames=30 + 5 * n % 270, seed=n, **PARAMS[n % 5])
        for n in range(slots + 3)
    ]
    sequences = []
    for one in wanted:
        sequences.append(engine.submit(one))
        engine.step()
    finish(engine, *sequences)
    for n in (0, 1, 2, 3, 4, slots // 2, slots + 2):
        alone = run(Engine(model, slots=slots), wanted[n])
        assert np.array_equal(alone, sequences[n].codes), f"request {n}"


def test_up_to_8_slots_give_the_same_codes() -> None:
    model = wide_model(torch.float16)
    wanted = request(model, frames=60)
    codes = [run(Engine(model, slots=slots), wanted) for slots in (1, 2, 5, 8)]
    assert all(np.array_equal(one, codes[0]) for one in codes)


def test_windows_follow_each_other() -> None:
    model = wide_model(torch.float16, segment_s=1.0)
    wanted = request(model, frames=130, stride_frames=30)
    assert np.array_equal(run(Engine(model), wanted), run(Engine(model, slots=3), wanted))


def test_cancelling_leaves_the_others_alone() -> None:
    model = wide_model(torch.float16)
    engine, wanted = Engine(model, slots=4), request(model, frames=60)
    alone = run(Engine(model, slots=4), wanted)
    for steps in (0, 1, 2, 7, 40):
        doomed = engine.submit(request(model, seed=9, frames=200, continued=random_codes(50)))
        kept = engine.submit(wanted)
        for _ in range(steps):
            engine.step()
        engine.cancel(doomed)
        finish(engine, kept)
        assert np.array_equal(kept.codes, alone)


def test_nan_ends_one_request_only() -> None:
    model = wide_model(torch.float16)
    wanted = request(model, frames=30)
    sick = Conditions(text=torch.full((3, 1024), torch.nan, device=CUDA))
    engine = Engine(model, slots=2)
    bad = engine.submit(Request(lambda frame: sick, 12, wanted.params, 1, 30))
    good = engine.submit(wanted)
    finish(engine, bad, good)
    assert bad.finish_reason == "failed"
    assert np.array_equal(good.codes, run(Engine(model, slots=2), wanted))
    assert np.array_equal(good.codes, run(engine, wanted)), "the slot is usable again"


def test_others_may_compute_while_steps_are_recorded() -> None:
    model = wide_model(torch.float16)
    wanted, stop = request(model, frames=40), threading.Event()
    alone = run(Engine(model), wanted)
    failures: list[BaseException] = []

    def decode() -> None:
        try:
            while not stop.is_set():
                noise = torch.randn(64, 512, 700, device=CUDA)
                torch.nn.functional.conv1d(noise, noise[:, :, :3]).cpu()
        except RuntimeError as failure:
            failures.append(failure)

    thread = threading.Thread(target=decode)
    thread.start()
    codes: list[Codes] = []
    try:
        for _ in range(3):
            engine = Engine(model)
            engine.warm_up()
            codes.append(run(engine, wanted))
    finally:
        stop.set()
        thread.join()
    assert not failures
    assert all(np.array_equal(one, alone) for one in codes)


def test_memory_does_not_grow_with_the_number_of_requests() -> None:
    model = wide_model(torch.float16)
    engine = Engine(model)
    engine.warm_up()
    run(engine, request(model, frames=200))
    before = torch.cuda.memory_allocated()
    for seed in range(20):
        run(engine, request(model, frames=5 + 9 * seed, seed=seed))
    assert torch.cuda.memory_allocated() <= before + 2**20


def test_the_device_is_a_step_ahead() -> None:
    model = wide_model(torch.float16)
    engine = Engine(model)
    sequence = engine.submit(request(model, frames=40, cfg=1.0))
    seen = []
    while not sequence.finished:
        engine.step()
        seen.append(sequence.ready)
    assert seen[:6] == [0, 0, 0, 0, 1, 2]
