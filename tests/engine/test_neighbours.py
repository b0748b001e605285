"""The promise: a request's codes are its own, whoever else is there."""

import gc
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.helpers import finish, random_codes, request, run
from tests.fakes import fake_model
from toccata.decoder.quantized import COMPRESSED, compress
from toccata.engine.engine import Engine
from toccata.engine.sequence import Sequence
from toccata.models.model import Model

pytestmark = pytest.mark.usefixtures("each_full_backend")


def compressed(name: str, model: Model) -> Model:
    compress(COMPRESSED[name], model.lm)
    return model


MODELS = [
    fake_model(segment_s=2.0),
    fake_model(melody=True),
    fake_model(melody=True, beats=True),
    fake_model(channels=2),
    compressed("int8", fake_model(segment_s=2.0)),
    compressed("int4", fake_model(melody=True)),
    compressed("int8", fake_model(dim=128, segment_s=2.0)),
    compressed("int4", fake_model(dim=128, melody=True, beats=True)),
]

PROMPTS = [None, "piano", "slow piano, 70 bpm", "a b c d e f g h i j k l m n o p q, 133 bpm"]

asks = st.fixed_dictionaries({
    "prompt": st.sampled_from(PROMPTS),
    "frames": st.integers(1, 70),
    "seed": st.integers(0, 2**32 - 1),
    "prompt_frames": st.integers(0, 30),
    "cfg": st.sampled_from([1.0, 3.0, 2.5]),
    "temperature": st.sampled_from([0.0, 0.7, 1.0, 1.5]),
    "top_k": st.sampled_from([0, 1, 5, 250]),
    "top_p": st.sampled_from([0.0, 0.0, 0.6, 0.95]),
})  # fmt: skip
neighbours = st.lists(st.tuples(asks, st.integers(0, 60), st.integers(1, 60)), max_size=7)


def submit(engine: Engine, model: Model, ask: dict[str, Any]) -> Sequence:
    ask = dict(ask)
    codebooks = model.lm.config.codebooks
    given_codes = random_codes(ask.pop("prompt_frames"), codebooks)
    return engine.submit(request(model, continued=given_codes, **ask))


def alone(model: Model, ask: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    engine = Engine(model)
    sequence = submit(engine, model, ask)
    finish(engine, sequence)
    return sequence.codes


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(MODELS), asks, neighbours, st.integers(0, 40))
def test_alone_equals_among_seven_who_come_and_go(
    model: Model, ask: dict[str, Any], others: list[tuple[dict[str, Any], int, int]], joins: int
) -> None:
    engine = Engine(model)
    live: dict[int, Sequence] = {}
    mine: Sequence | None = None
    step = 0
    while mine is None or not mine.finished:
        for index, (other, arrives, stays) in enumerate(others):
            if step == arrives:
                live[index] = submit(engine, model, other)
            if step == arrives + stays and index in live:
                engine.cancel(live[index])
        if step == joins:
            mine = submit(engine, model, ask)
        engine.step()
        step += 1
    assert np.array_equal(mine.codes, alone(model, ask))


def test_a_full_house_of_a_wide_model() -> None:
    model = fake_model(segment_s=3.0)
    from tests.fakes import fake_decoder

    model.lm = fake_decoder(dim=320, card=64)
    prompts = ["a", "b c", "d e f", "g h i j"] * 2
    engine = Engine(model)
    sequences = [
        engine.submit(request(model, prompt, frames=66 + n, seed=n, cfg=1.0 + n % 3))
        for n, prompt in enumerate(prompts)
    ]
    finish(engine, *sequences)
    for n in (0, 5, 7):
        requested = request(model, prompts[n], frames=66 + n, seed=n, cfg=1.0 + n % 3)
        assert np.array_equal(run(Engine(model), requested), sequences[n].codes)


def test_memory_does_not_grow_with_the_number_of_requests() -> None:
    model = fake_model()
    engine = Engine(model)
    run(engine, request(model, frames=40))
    cache = engine._backend._cache  # type: ignore[attr-defined]
    before = [layer.data_ptr() for layer in cache.layers]
    ended = []
    for seed in range(20):
        sequence = engine.submit(request(model, frames=5 + seed, seed=seed))
        finish(engine, sequence)
        ended.append(weakref.ref(sequence))
        del sequence
    assert [layer.data_ptr() for layer in cache.layers] == before
    assert not engine._prefills
    gc.collect()
    assert not any(one() for one in ended)
