"""The compiled sampling draws the codes that the plain one does."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toccata.engine.cpu_sampling import CpuSampling
from toccata.engine.sampling import SamplingBatch, sample
from toccata.models.sampling_params import SamplingParams

any_params = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.0, 0.3, 1.0, 1.7]),
    top_k=st.sampled_from([0, 1, 5, 250, 10_000]),
    top_p=st.sampled_from([0.0, 0.0, 0.1, 0.5, 0.9, 0.999, 1.0]),
    cfg=st.sampled_from([1.0, 3.0, 0.5]),
    cfg_beta=st.sampled_from([1.0, 5.0]),
)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(any_params, min_size=1, max_size=5), st.integers(0, 1000), st.sampled_from([20, 700])
)
def test_codes_are_those_of_the_plain_sampling(
    params: list[SamplingParams], seed: int, card: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    rows, branches = 0, []
    for p in params:
        size = 1 if p.cfg == 1 else 2 if p.cfg_beta == 1 else 3
        branches.append((rows, rows + size // 3, rows + size - 1))
        rows += size
    # Rounded, so that there are ties.
    logits = (torch.randn(rows, 4, card, generator=generator) * 6).round() / 2
    uniform = torch.rand(len(params), 4, generator=generator, dtype=torch.float64)
    cond, style, null = (list(half) for half in zip(*branches, strict=True))
    codes, finite = CpuSampling(params, (cond, style, null), card)(logits, uniform.numpy())
    cfg = torch.tensor([p.cfg for p in params]).view(-1, 1, 1)
    beta = torch.tensor([p.cfg_beta for p in params]).view(-1, 1, 1)
    joint = logits[style] + beta * (logits[cond] - logits[style])
    guided = logits[null] + cfg * (joint - logits[null])
    batch = SamplingBatch.of(params, card, torch.device("cpu"))
    assert np.array_equal(codes, sample(guided, batch, uniform).numpy())
    assert finite == [True] * len(params)


def test_a_request_whose_logits_are_not_finite_is_told_and_no_other() -> None:
    logits = torch.zeros(3, 2, 20)
    logits[1, 1, 7] = torch.inf
    params = [SamplingParams(cfg=1.0)] * 3
    rows = ([0, 1, 2],) * 3
    _, finite = CpuSampling(params, rows, 20)(logits, np.full((3, 2), 0.5))
    assert finite == [True, False, True]
