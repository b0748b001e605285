"""Codes of whole generations equal those of the reference implementation."""

from dataclasses import replace

import pytest
import torch

from tests.engine.helpers import fixed, run
from tests.fakes import fake_model
from tests.golden_lm import expected, golden_decoder
from toccata.engine.engine import Engine
from toccata.engine.sequence import Request

pytestmark = pytest.mark.usefixtures("each_full_backend")

CASES = [("text", ""), ("stereo", ""), ("melody", ""), ("melody", "_melody")]


def engine_and_request(kind: str, suffix: str) -> tuple[Engine, Request]:
    model, want = fake_model(), expected(kind)
    model.lm, model.segment_s = golden_decoder(kind), 30.0
    text = want[f"cond_description{suffix}"][0]
    if kind != "melody":
        return Engine(model), fixed(text=text)
    prefix = torch.cat([want[f"cond_self_wav{suffix}"][0], text])
    unconditional_prefix = torch.cat([want["cond_self_wav"][0], torch.zeros_like(text)])
    return Engine(model), fixed(prefix=prefix, unconditional_prefix=unconditional_prefix)


@pytest.mark.parametrize(("kind", "suffix"), CASES)
def test_greedy(kind: str, suffix: str) -> None:
    engine, wanted = engine_and_request(kind, suffix)
    assert torch.equal(torch.from_numpy(run(engine, wanted)), expected(kind)[f"greedy{suffix}"][0])


@pytest.mark.parametrize(("kind", "suffix"), CASES)
def test_greedy_continuation(kind: str, suffix: str) -> None:
    engine, wanted = engine_and_request(kind, suffix)
    want = expected(kind)
    inputs = want["lm_codes"][0, :, :11].numpy()
    codes = run(engine, replace(wanted, prompt=inputs, frames=29))
    assert torch.equal(torch.from_numpy(codes), want[f"greedy_continue{suffix}"][0])
