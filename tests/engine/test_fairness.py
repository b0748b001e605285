"""What requests do to each other: counted in steps, whatever a step takes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor

from tests.engine.helpers import random_codes, request
from tests.fakes import fake_model
from toccata.engine.engine import Engine
from toccata.engine.sequence import Sequence

CHUNK = 5


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toccata.backends.base.Backend.prefill_positions", CHUNK)


def steps_until(engine: Engine, done: Callable[[], bool]) -> int:
    count = 0
    while not done():
        engine.step()
        count += 1
    return count


def is_done(sequence: Sequence) -> Callable[[], bool]:
    return lambda: sequence.finished


def test_a_long_clip_does_not_starve_short_ones(small_chunks: None) -> None:
    """Its many windows, each prefilled again, cost nobody a step."""
    model = fake_model()
    alone = Engine(model, slots=2)
    expected = steps_until(alone, is_done(alone.submit(request(model, frames=20))))
    engine = Engine(model, slots=2)
    long = engine.submit(request(model, frames=300, stride_frames=20))
    for _ in range(5):
        short = engine.submit(request(model, frames=20))
        assert steps_until(engine, is_done(short)) == expected
    assert not long.finished
    assert long.ready > 20


def test_a_running_stream_makes_a_step_for_each_chunk_of_a_long_continuation(
    small_chunks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fake_model()
    engine = Engine(model, slots=2)
    stream = engine.submit(request(model, frames=40))
    engine.step()
    chunks: list[int] = []
    prefill = engine.backend.prefill

    def counted(row: int, start: int, chunk: Tensor) -> None:
        chunks.append(chunk.shape[1])
        prefill(row, start, chunk)

    monkeypatch.setattr(engine.backend, "prefill", counted)
    other = engine.submit(request(model, frames=10, continued=random_codes(33)))
    output = []
    while other.ready == 0:
        before = (stream.step, len(chunks))
        engine.step()
        output.append((stream.step - before[0], len(chunks) - before[1]))
    assert max(chunks) == CHUNK
    assert output[: len(chunks)] == [(1, 1)] * len(chunks)
    assert all(steps == 1 for steps, _ in output)


def test_two_long_continuations_take_turns_with_the_stream(small_chunks: None) -> None:
    """One chunk a step in all, not one for each that waits."""
    model = fake_model()
    engine = Engine(model, slots=3)
    stream = engine.submit(request(model, frames=40))
    engine.step()
    others = [engine.submit(request(model, frames=5, continued=random_codes(21))) for _ in "ab"]
    before = stream.step
    steps = steps_until(engine, lambda: all(other.finished for other in others))
    assert stream.step - before == steps
    chunks = -(-22 // CHUNK)  # what is known, and the step that the delays of the pattern add
    assert steps >= 2 * chunks
