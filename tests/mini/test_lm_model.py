"""The history that the decoder hears in training: the song's, and its own draws."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recipes.mini.composer.composition import Facts
from recipes.mini.lm.batches import NOT_DRAWN, Batch, Row, steady_rows
from recipes.mini.lm.model import AS_LIKELY, Conditioned
from recipes.mini.lm.train_lm import LMRun
from toccata.conditioners.beats import FEATURES as BEATS
from toccata.conditioners.word_encoder import WordsConfig
from toccata.engine.sampling import SamplingBatch, sample

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


def nowhere() -> Tensor:
    return torch.full((ROWS, 4, STEPS), NOT_DRAWN, dtype=torch.float64)


def scheduled_sampling(model: Conditioned, uniforms: Tensor) -> Tensor:
    prefix, sums = torch.zeros(ROWS, 2, 16), torch.zeros(ROWS, STEPS, 16)
    return model.scheduled_sampling(heard(), uniforms, prefix, sums)


def test_the_songs_history_stays_where_there_is_no_luck(model: Conditioned) -> None:
    assert torch.equal(scheduled_sampling(model, nowhere()), heard())


def test_a_draw_is_what_the_model_expects_after_the_steps_before(model: Conditioned) -> None:
    uniforms = nowhere()
    uniforms[1, :, 5] = torch.tensor([0.1, 0.4, 0.6, 0.9], dtype=torch.float64)
    mixed = scheduled_sampling(model, uniforms)
    logits = model.lm(
        heard()[1:2, :, :5], prefix=torch.zeros(1, 2, 16), step_conditioning=torch.zeros(1, 5, 16)
    )
    plainly = SamplingBatch.of([AS_LIKELY], 16, torch.device("cpu"))
    assert torch.equal(mixed[1:2, :, 5], sample(logits[:, :, -1], plainly, uniforms[1:2, :, 5]))
    same = torch.ones(STEPS, dtype=torch.bool)
    same[5] = False
    assert torch.equal(mixed[..., same], heard()[..., same])
    assert torch.equal(mixed[[0, 2]], heard()[[0, 2]])


def test_what_was_withheld_or_comes_first_is_not_drawn(model: Conditioned) -> None:
    mixed = scheduled_sampling(model, nowhere().fill_(0.5))
    assert (mixed[:, 1:, :2] == RUN.lm.special_id).all()
    assert torch.equal(mixed[..., 0], heard()[..., 0])


def test_drawing_takes_no_gradient_away(model: Conditioned) -> None:
    prefix, sums = torch.zeros(ROWS, 2, 16), torch.zeros(ROWS, STEPS, 16)
    with torch.autocast("cpu", torch.bfloat16):
        uniforms = nowhere().fill_(0.5)
        model.lm(
            model.scheduled_sampling(heard(), uniforms, prefix, sums), prefix=prefix
        ).sum().backward()
    for name, weight in (*model.lm.layers.named_parameters(), *model.lm.heads.named_parameters()):
        assert weight.grad is not None, name
    model.zero_grad()


def test_what_follows_is_expected_of_the_history_with_its_draws(model: Conditioned) -> None:
    frames = STEPS - 3
    facts = Facts("jazz", 90, "A minor", "", ("piano",), drums=True, meter="4/4")

    def logits(uniforms: float) -> Tensor:
        row = Row(
            codes=torch.zeros(4, frames, dtype=torch.int64),
            pitch=torch.zeros(RUN.chroma.frames, dtype=torch.int64),
            beats=torch.zeros(STEPS, BEATS),
            history=torch.ones(STEPS, dtype=torch.bool),
            uniforms=torch.full((4, STEPS), uniforms, dtype=torch.float64),
            words=torch.zeros(5, dtype=torch.int64), caption="", **steady_rows(facts, WORDS),
        )  # fmt: skip
        made: Tensor = model(Batch.of([row]))[0]
        return made

    songs, own = logits(NOT_DRAWN), logits(0.99)
    assert torch.equal(songs[:, :, 0], own[:, :, 0])
    assert not torch.allclose(songs[:, :, 2:], own[:, :, 2:])
