"""The history that the decoder hears in training: the song's, and its own draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from toccata.conditioners.words import WordsConfig
from toccata.training.lm_data import NOT_DRAWN
from toccata.training.lm_model import Conditioned, drawn
from toccata.training.lm_run import LMRun

WORDS = WordsConfig(dim=8, layers=1, heads=2, buckets=64, genres=("jazz",), leads=("piano",))
RUN = LMRun(
    out="", corpus="", validation="", dim=16, layers=1, heads=2, ffn_dim=32, card=16, text=WORDS
)  # fmt: skip
ROWS, STEPS = 3, 10


@pytest.fixture(scope="module")
def model() -> Conditioned:
    torch.manual_seed(3)
    return Conditioned(RUN.lm, RUN.text, RUN.chroma)


def heard() -> Tensor:
    generator = torch.Generator().manual_seed(5)
    codes = torch.randint(0, 16, (ROWS, 4, STEPS), generator=generator)
    codes[:, 1:, :2] = RUN.lm.special_id
    return codes


def with_own_draws(model: Conditioned, luck: Tensor) -> Tensor:
    prefix, sums = torch.zeros(ROWS, 2, 16), torch.zeros(ROWS, STEPS, 16)
    return model.with_own_draws(heard(), luck, prefix, sums)


def test_draws_come_as_often_as_they_are_likely() -> None:
    logits = torch.tensor([0.1, 0.2, 0.0, 0.7]).log().expand(2000, 4)
    luck = torch.from_numpy(np.random.default_rng(0).random(2000, np.float32))
    shares = torch.bincount(drawn(logits, luck), minlength=4) / 2000
    torch.testing.assert_close(shares, torch.tensor([0.1, 0.2, 0.0, 0.7]), atol=0.03, rtol=0)


def test_luck_of_one_draws_the_last_code() -> None:
    assert drawn(torch.zeros(1, 16), torch.ones(1)).tolist() == [15]


def test_the_songs_history_stays_where_there_is_no_luck(model: Conditioned) -> None:
    nowhere = torch.full((ROWS, 4, STEPS), NOT_DRAWN)
    assert torch.equal(with_own_draws(model, nowhere), heard())


def test_a_draw_is_what_the_model_expects_after_the_steps_before(model: Conditioned) -> None:
    luck = torch.full((ROWS, 4, STEPS), NOT_DRAWN)
    luck[1, :, 5] = torch.tensor([0.1, 0.4, 0.6, 0.9])
    mixed = with_own_draws(model, luck)
    logits = model.lm(
        heard()[1:2, :, :5], prefix=torch.zeros(1, 2, 16), step_sums=torch.zeros(1, 5, 16)
    )
    assert torch.equal(mixed[1, :, 5], drawn(logits[0, :, -1], luck[1, :, 5]))
    same = torch.ones(STEPS, dtype=torch.bool)
    same[5] = False
    assert torch.equal(mixed[..., same], heard()[..., same])
    assert torch.equal(mixed[[0, 2]], heard()[[0, 2]])


def test_what_was_withheld_or_comes_first_is_not_drawn(model: Conditioned) -> None:
    mixed = with_own_draws(model, torch.full((ROWS, 4, STEPS), 0.5))
    assert (mixed[:, 1:, :2] == RUN.lm.special_id).all()
    assert torch.equal(mixed[..., 0], heard()[..., 0])


def test_drawing_takes_no_gradient_away(model: Conditioned) -> None:
    prefix, sums = torch.zeros(ROWS, 2, 16), torch.zeros(ROWS, STEPS, 16)
    with torch.autocast("cpu", torch.bfloat16):
        luck = torch.full((ROWS, 4, STEPS), 0.5)
        model.lm(model.with_own_draws(heard(), luck, prefix, sums), prefix=prefix).sum().backward()
    for name, weight in (*model.lm.layers.named_parameters(), *model.lm.heads.named_parameters()):
        assert weight.grad is not None, name
    model.zero_grad()
