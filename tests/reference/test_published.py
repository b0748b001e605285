"""What the tests of published weights compute is what transformers' integration tests compute.

Shown with a tiny model of transformers' own classes, so that those tests can be trusted by whoever
runs them for the first time.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.reference import tiny
from tests.weights.published import (
    first_logits,
    greedy_audio,
    model_as_transformers_has_it,
    unconditional_audio,
)
from toccata.models.model import Model

PROMPT = "slow warm piano"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Model]:
    reference = tiny.musicgen()
    folder = tiny.save(reference, tmp_path_factory.mktemp("published") / "musicgen-small")
    return reference, model_as_transformers_has_it(folder)


def ids() -> torch.Tensor:
    return torch.tensor([tiny.tokenizer().encode(PROMPT).ids])


@torch.inference_mode()
def test_the_first_logits(both: tuple[Any, Model]) -> None:
    reference, model = both
    start = torch.full((4, 1), tiny.CARD)
    wanted = reference(input_ids=ids(), decoder_input_ids=start).logits[:, 0]
    torch.testing.assert_close(first_logits(model, PROMPT), wanted, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_guided_music(both: tuple[Any, Model]) -> None:
    reference, model = both
    wanted = reference.generate(
        input_ids=ids(), do_sample=False, guidance_scale=3.0, max_new_tokens=10
    )
    made = greedy_audio(model, PROMPT, tokens=10, cfg=3.0)
    torch.testing.assert_close(made, wanted[0], rtol=0, atol=1e-4)


@torch.inference_mode()
def test_unconditional_music(both: tuple[Any, Model]) -> None:
    reference, model = both
    given = reference.get_unconditional_inputs(num_samples=1)
    wanted = reference.generate(**given, do_sample=False, max_new_tokens=5)
    made = unconditional_audio(model, tokens=5)
    torch.testing.assert_close(made, wanted[0], rtol=0, atol=1e-4)
