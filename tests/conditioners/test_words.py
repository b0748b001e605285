from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toccata.conditioners.word_encoder import (
    WordsConfig,
    WordsTextEncoder,
    number_waves,
    tempo_class,
    words_of,
)


@pytest.fixture(scope="module")
def encoder() -> WordsTextEncoder:
    torch.manual_seed(0)
    return WordsTextEncoder(WordsConfig(dim=32, buckets=512, max_words=8)).eval()


def test_words_and_numbers_come_apart() -> None:
    said = words_of("Lo-fi BEAT, 80bpm in F# minor: 92.5!")
    assert said == ["lo", "fi", "beat", "80", "bpm", "in", "f#", "minor", "92.5"]


@settings(max_examples=25, deadline=None)
@given(prompt=st.text(max_size=60))
def test_any_text_gives_the_same_shape_and_is_finite(
    encoder: WordsTextEncoder, prompt: str
) -> None:
    states = encoder.encode(prompt)
    assert states.shape == (8, 32)
    assert bool(states.isfinite().all())


@pytest.mark.parametrize("prompt", ["", "  ", "...!"])
def test_a_prompt_without_words_is_zeros(encoder: WordsTextEncoder, prompt: str) -> None:
    assert not encoder.encode(prompt).any()


def test_a_prompt_is_the_same_alone_and_in_a_batch(encoder: WordsTextEncoder) -> None:
    with torch.no_grad():
        batch = encoder(["fast drums", "slow warm piano at 70 bpm in A minor"])
    torch.testing.assert_close(batch[0], encoder.encode("fast drums"))


def test_near_numbers_are_nearer_than_far_ones() -> None:
    waves = {bpm: torch.tensor(number_waves(str(bpm))) for bpm in (92, 93, 140)}
    assert (waves[92] - waves[93]).norm() < (waves[92] - waves[140]).norm()


def test_a_misspelt_word_is_near_the_right_one(encoder: WordsTextEncoder) -> None:
    def embed(word: str) -> torch.Tensor:
        return encoder._embed([[word]])[0, 0]

    assert (embed("guitar") - embed("guittar")).norm() < (embed("guitar") - embed("drums")).norm()


def test_of_the_tempi_that_go_with_words_the_drawn_one_is_told() -> None:
    knows = WordsTextEncoder(WordsConfig(dim=32, buckets=512, max_words=8, tempo_classes=90)).eval()
    assert knows.tempo is not None
    torch.nn.init.zeros_(knows.tempo.weight)
    with torch.no_grad():
        knows.tempo.bias[tempo_class(100)] = 50.0
        knows.tempo.bias[tempo_class(140)] = 50.0
    assert knows.likely_bpm("happy rock", 0.2) == 100.0
    assert knows.likely_bpm("happy rock", 0.8) == 140.0
    assert knows.likely_bpm("happy rock", 1 - 1e-12) == 140.0


def test_without_tempo_classes_no_tempo_is_known(encoder: WordsTextEncoder) -> None:
    assert encoder.likely_bpm("happy rock", 0.5) is None
