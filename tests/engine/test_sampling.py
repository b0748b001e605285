import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from toccata.engine.rng import uniforms
from toccata.engine.sampling import SamplingBatch, sample
from toccata.models.sampling_params import SamplingParams

CPU = torch.device("cpu")
STREAM_OF_SEED_1 = [
    [0.3035680343067586, 0.8487087496857769],
    [0.1561347780434731, 0.031106436954376093],
]


def draws(logits: list[float], count: int = 4000, **params: float) -> Tensor:
    """How often each token is drawn, over evenly spread uniforms."""
    row = torch.tensor(logits).expand(1, count, -1)
    uniform = (torch.arange(count, dtype=torch.float64) / count)[None]
    batch = SamplingBatch.of([SamplingParams(**params)], len(logits), CPU)  # type: ignore[arg-type]
    return torch.bincount(sample(row, batch, uniform)[0], minlength=len(logits)) / count


LOGITS = [0.1, 2.0, -1.0, 2.0, 1.0, 0.5]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_unlimited_draws_follow_the_softmax(temperature: float) -> None:
    expected = torch.softmax(torch.tensor(LOGITS) / temperature, -1)
    torch.testing.assert_close(
        draws(LOGITS, top_k=0, temperature=temperature), expected, atol=1e-3, rtol=0
    )


def test_top_k_keeps_ties_with_the_kth() -> None:
    kept = draws(LOGITS, top_k=1)
    torch.testing.assert_close(kept, torch.tensor([0, 0.5, 0, 0.5, 0, 0]), atol=1e-3, rtol=0)
    assert (draws(LOGITS, top_k=3) > 0).tolist() == [False, True, False, True, True, False]


def test_top_k_beyond_the_card_limits_nothing() -> None:
    assert torch.equal(draws(LOGITS, top_k=100), draws(LOGITS, top_k=0))


def test_top_p_keeps_the_token_that_crosses_p() -> None:
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log().tolist()
    assert (draws(logits, top_p=0.39) > 0).tolist() == [False, False, False, True]
    assert (draws(logits, top_p=0.41) > 0).tolist() == [False, False, True, True]
    assert (draws(logits, top_p=0.71) > 0).tolist() == [False, True, True, True]


def test_top_p_switches_top_k_off() -> None:
    assert (draws(LOGITS, top_p=0.999, top_k=1) > 0).all()


def test_temperature_0_takes_the_first_of_the_largest() -> None:
    assert draws(LOGITS, temperature=0.0)[1] == 1.0


def test_a_very_low_temperature_is_greedy_too() -> None:
    assert draws([0.0, 1.0, 0.5], temperature=1e-6)[1] == 1.0


any_params = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.0, 0.3, 1.0]),
    top_k=st.integers(0, 40),
    top_p=st.sampled_from([0.0, 0.3, 0.9, 1.0]),
)


@settings(deadline=None)
@given(st.lists(any_params, min_size=1, max_size=6), st.integers(0, 1000))
def test_each_request_by_its_own_parameters(params: list[SamplingParams], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    # Rounded, so that there are ties.
    logits = (torch.randn(len(params), 3, 32, generator=generator) * 4).round() / 2
    uniform = torch.rand(len(params), 3, generator=generator, dtype=torch.float64)
    together = sample(logits, SamplingBatch.of(params, 32, CPU), uniform)
    whole = SamplingBatch.whole(params, 32, CPU)
    assert torch.equal(sample(logits, whole, uniform), together)
    for n, one in enumerate(params):
        batch = SamplingBatch.of([one], 32, CPU)
        assert torch.equal(sample(logits[n : n + 1], batch, uniform[n : n + 1])[0], together[n])


def test_the_stream_of_a_seed_is_fixed_forever() -> None:
    # Written down, because saved seeds must make the same music after an upgrade.
    drawn = uniforms(seed=1, first_frame=0, frames=2, codebooks=2)
    np.testing.assert_allclose(drawn, STREAM_OF_SEED_1, rtol=0, atol=1e-15)


@given(st.integers(0, 2**64 - 1), st.integers(0, 5000), st.integers(1, 40), st.integers(1, 8))
def test_the_stream_does_not_depend_on_where_it_is_read_from(
    seed: int, first: int, frames: int, codebooks: int
) -> None:
    part = uniforms(seed, first, frames, codebooks)
    whole = uniforms(seed, 0, first + frames, codebooks)
    assert np.array_equal(part, whole[first:])
    assert ((part >= 0) & (part < 1)).all()


def test_seeds_are_unlike_each_other() -> None:
    assert len({uniforms(seed, 0, 1, 1).item() for seed in range(100)}) == 100
    assert abs(uniforms(5, 0, 5000, 4).mean() - 0.5) < 0.01
