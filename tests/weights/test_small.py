"""facebook/musicgen-small computes what transformers' integration tests expect of it.

The numbers are facts from there, given to four decimals and compared to 1e-4.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.weights.conftest import Find
from tests.weights.published import (
    audiocraft_alone,
    first_logits,
    greedy_audio,
    model_as_transformers_has_it,
    unconditional_audio,
)
from toccata.decoder.decoder import LMConfig
from toccata.devices import PRECISIONS
from toccata.models.checkpoints.assembly import load_lm
from toccata.models.loading import load_model
from toccata.models.model import Model

SMALL = "facebook/musicgen-small"
LOGITS = [-0.9708, -3.0149, -4.6415, -1.4754, -0.2786, -2.3523, -2.6049, -6.7467]
GUIDED = [0.0283, 0.0246, 0.0650, 0.0640, 0.0599, 0.0711, 0.0420, 0.0112]
UNCONDITIONAL = [0.0056, 0.0064, 0.0063, 0.0054, 0.0042, 0.0033, 0.0024, 0.0015]

SHAPE = LMConfig(
    dim=1024, layers=24, heads=16, ffn_dim=4096, card=2048, codebooks=4,
    cross_attention=True, delays=(0, 1, 2, 3), cond_dims={"description": 768},
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(find: Find) -> Path:
    return find(SMALL, "config.json", "model.safetensors", "tokenizer.json")


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return model_as_transformers_has_it(folder)


def close(made: Tensor, wanted: list[float]) -> None:
    torch.testing.assert_close(made[: len(wanted)], torch.tensor(wanted), rtol=0, atol=1e-4)


def test_the_first_logits(model: Model) -> None:
    close(first_logits(model, "80s music")[0], LOGITS)


def test_guided_music(model: Model) -> None:
    audio = greedy_audio(model, "80s music", tokens=10, cfg=3.0)
    assert audio.shape == (1, 7 * 640)
    close(audio[0], GUIDED)


def test_unconditional_music(model: Model) -> None:
    close(unconditional_audio(model, tokens=5)[0], UNCONDITIONAL)


def test_audiocrafts_file_is_the_same_model(find: Find, model: Model) -> None:
    """Its xp.cfg is understood, and its weights, kept in float16, are those of transformers."""
    bins = find(SMALL, "state_dict.bin", "compression_state_dict.bin")
    checkpoint = audiocraft_alone(bins)
    assert checkpoint.lm_config == model.lm.config == SHAPE
    own = load_lm(checkpoint, torch.device("cpu"), PRECISIONS["fp32"]).state_dict()
    for name, tensor in model.lm.state_dict().items():
        torch.testing.assert_close(own[name], tensor, rtol=2e-3, atol=1e-4)


def test_it_loads_in_the_default_precision(folder: Path) -> None:
    assert load_model(folder, offline=True).conditions("80s music").text is not None
