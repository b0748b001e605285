"""Music without prompt and audio: what the unconditional branch of guidance says, alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.engine.helpers import full_forward
from tests.golden_lm import expected
from tests.models.helpers import golden_model
from toccata.audio.loudness import level
from toccata.audio.waveform import Waveform
from toccata.engine.sequence import Codes
from toccata.errors import InputErrors
from toccata.generation.handle import Toccata
from toccata.models.model import Model
from toccata.server.hosted_inputs import read_inputs

KINDS = ["text", "melody", "stereo"]
FRAMES = 12
OPTIONS: dict[str, Any] = {
    "duration_s": FRAMES / 50,
    "temperature": 0.0,
    "normalization": "clip",
    "seed": 0,
}


def unconditional_logits(model: Model, codes: Codes) -> torch.Tensor:
    """Of the model given nothing at all, [K, T, card]."""
    prefix = model.conditions(None).prefix
    return full_forward(model, codes, prefix=None if prefix is None else prefix[None])


@torch.inference_mode()
@pytest.mark.parametrize("kind", KINDS)
def test_the_logits_are_audiocrafts_without_conditions(kind: str) -> None:
    want = expected(kind)
    output = unconditional_logits(golden_model(kind), want["lm_codes"][0].numpy())
    mask = want["logits_mask"][0].bool()
    torch.testing.assert_close(output[mask], want["logits_null"][0][mask], rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def slow_greedy(model: Model) -> torch.Tensor:
    """Frame by frame and codebook by codebook: each code is the likeliest after all before it."""
    codes = np.zeros((model.lm.config.codebooks, FRAMES), np.int64)
    delays = model.lm.config.delays
    for step in range(FRAMES + max(delays)):
        for book, delay in enumerate(delays):
            if 0 <= step - delay < FRAMES:
                logits = unconditional_logits(model, codes)
                codes[book, step - delay] = int(logits[book, step - delay].argmax())
    return torch.from_numpy(codes)


@pytest.mark.parametrize(
    ("kind", "prompt"),
    [("text", None), ("text", ""), ("text", "  "), ("melody", None), ("stereo", None)],
)
def test_a_clip_without_prompt_is_that_of_the_slow_way(kind: str, prompt: str | None) -> None:
    model = golden_model(kind)
    output = Toccata(model, 1).generate(prompt, **OPTIONS)
    with torch.inference_mode():
        audio = model.codec.decode(slow_greedy(model)[None])[0].numpy()
    wanted = level(Waveform(audio, 32000), "clip").samples
    np.testing.assert_allclose(output.samples, wanted, rtol=0, atol=1e-4)
    assert output.prompt == (prompt or "").strip()


def test_streams_and_batches_take_it_too() -> None:
    toccata = Toccata(golden_model("text"), 2)
    output = toccata.generate(**OPTIONS).samples
    (alone, named) = toccata.generate_batch([OPTIONS, {**OPTIONS, "prompt": "piano"}])
    assert np.array_equal(alone.samples, output)
    assert not np.array_equal(named.samples, output)
    parts = [part.samples for part in toccata.stream(**OPTIONS)]
    assert np.concatenate(parts, axis=1).shape == output.shape


def test_the_hosted_inputs_still_ask_for_something() -> None:
    with pytest.raises(InputErrors, match="give a prompt, input_audio or both"):
        read_inputs({})
