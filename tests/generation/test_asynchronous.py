"""Generation from an event loop: nothing blocks it, and what is cancelled ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import aclosing

import numpy as np
import pytest

from tests.fakes import fake_model
from toccata import Progress, Toccata
from toccata.audio.transforms import Samples
from toccata.errors import InputErrors


@pytest.fixture
def model() -> Iterator[Toccata]:
    with Toccata(fake_model(), slots=2) as model:
        yield model


def assert_idle(model: Toccata) -> None:
    """The threads that generated have ended, and left nothing to do."""
    for thread in threading.enumerate():
        if thread.name.startswith("toccata"):
            thread.join(20)
            assert not thread.is_alive()
    assert not model._engine.step()


def test_a_clip_is_that_of_generate(model: Toccata) -> None:
    expected = model.generate("piano", duration_s=0.5, seed=3)
    clip = asyncio.run(model.agenerate("piano", duration_s=0.5, seed=3))
    assert np.array_equal(clip.samples, expected.samples)
    assert clip.tags == expected.tags


def test_requests_run_together_and_the_loop_goes_on(model: Toccata) -> None:
    both_run = threading.Barrier(2, timeout=20)
    met: set[int] = set()

    async def both() -> int:
        def meet(number: int) -> None:
            if number not in met:
                met.add(number)
                both_run.wait()

        turns = 0
        tasks = [
            asyncio.create_task(
                model.agenerate("x", duration_s=1, on_progress=lambda _, n=number: meet(n))  # type: ignore[misc]
            )
            for number in range(2)
        ]
        while not all(task.done() for task in tasks):
            turns += 1
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        return turns

    assert asyncio.run(both()) > 1
    assert met == {0, 1}


def test_a_cancelled_task_ends_its_request(model: Toccata) -> None:
    async def cancelled() -> list[int]:
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()
        steps: list[int] = []

        def progress(progress: Progress) -> None:
            steps.append(progress.done_frames)
            loop.call_soon_threadsafe(begun.set)

        task = asyncio.create_task(model.agenerate("x", duration_s=600, on_progress=progress))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return steps

    steps = asyncio.run(cancelled())
    assert 0 < len(steps) < 10_000
    assert_idle(model)


def test_chunks_are_those_of_stream(model: Toccata) -> None:
    async def chunks() -> list[Samples]:
        return [
            chunk.samples async for chunk in model.astream("x", duration_s=1, seed=1, chunk_s=0.3)
        ]

    expected = [chunk.samples for chunk in model.stream("x", duration_s=1, seed=1, chunk_s=0.3)]
    for got, wanted in zip(asyncio.run(chunks()), expected, strict=True):
        assert np.array_equal(got, wanted)


def test_a_stream_that_is_left_ends_its_request(model: Toccata) -> None:
    async def first() -> float:
        async with aclosing(model.astream("x", duration_s=600, chunk_s=0.2)) as chunks:
            async for chunk in chunks:
                return chunk.duration_s
        return 0.0

    assert asyncio.run(first()) > 0
    assert_idle(model)


def test_a_wrong_value_is_named(model: Toccata) -> None:
    with pytest.raises(InputErrors, match="duration_s"):
        asyncio.run(model.agenerate("x", duration_s=-1))
