"""What is louder or sharper in a decoder that makes music than in one that is trained."""

from __future__ import annotations

import pytest
import torch

from toccata.decoder.condition_scale import ConditionScale, scaled
from toccata.decoder.decoder import Decoder, LMConfig
from toccata.errors import CheckpointError

CONFIG = LMConfig(
    dim=8, layers=1, heads=2, ffn_dim=16, card=12, codebooks=2, cross_attention=False,
    delays=(0, 1), cond_dims={"drums": 2, "key": 24},
)  # fmt: skip
SCALES = ConditionScale({"key": 3.0}, (1.5, 0.5))


def decoders() -> tuple[Decoder, Decoder]:
    """As it was trained, and as it makes music."""
    torch.manual_seed(0)
    plain, loud = Decoder(CONFIG), Decoder(CONFIG)
    loud.load_state_dict(
        {name: scaled(SCALES, name, weight) for name, weight in plain.state_dict().items()}
    )
    return plain, loud


@torch.inference_mode()
def test_logits_of_each_codebook_are_sharper() -> None:
    plain, loud = decoders()
    codes = torch.arange(12).reshape(1, 2, 6)
    sharper = torch.tensor([1.5, 0.5])[:, None, None]
    torch.testing.assert_close(loud(codes), plain(codes) * sharper)


@torch.inference_mode()
def test_a_condition_is_told_louder_with_its_bias_and_no_other() -> None:
    plain, loud = decoders()
    for name, times in (("key", 3.0), ("drums", 1.0)):
        row = torch.ones(1, CONFIG.cond_dims[name])
        torch.testing.assert_close(
            loud.projections[name](row), times * plain.projections[name](row)
        )


def test_nothing_is_scaled_without_a_word() -> None:
    weight = torch.ones(2)
    assert scaled(ConditionScale(), "heads.0.weight", weight) is weight


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (ConditionScale({"drum_kit": 2.0}), "'drum_kit', but it must be one of drums, key"),
        (ConditionScale(inverse_temperature=(1.0,)), "1 codebooks, but the model has 2"),
    ],
)
def test_what_is_not_of_the_model_is_an_error(scale: ConditionScale, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        scale.check(CONFIG)


@pytest.mark.parametrize("wrong", [0, -1.0, float("nan"), float("inf"), "loud"])
def test_a_factor_is_a_number_above_0(wrong: float) -> None:
    with pytest.raises(CheckpointError, match=r"only 0\.001 to 1000 is supported"):
        ConditionScale({"key": wrong})
    with pytest.raises(CheckpointError, match=r"only 0\.001 to 1000 is supported"):
        ConditionScale(inverse_temperature=(1.0, wrong))
