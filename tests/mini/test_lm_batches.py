"""What a crop of a song is told, and what is dropped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recipes.mini.captions import NamedFacts, write_caption
from recipes.mini.composer.compose import compose
from recipes.mini.composer.composition import Facts
from recipes.mini.lm.batches import (
    MAX_OWN,
    NO_CLASS,
    NOT_DRAWN,
    CropBatches,
    Dropout,
    steady_rows,
    word_classes,
)
from recipes.mini.lm.encode_corpus import Shard, write_shard
from recipes.mini.lm.train_lm import HELD_OUT, all_words
from toccata.analysis.key import parse_key
from toccata.conditioners.key import named_key
from toccata.conditioners.word_encoder import WordsConfig, tempo_class

WORDS = WordsConfig(genres=("jazz", "waltz"), leads=("piano", "flute"))
FACTS = Facts("waltz", 90, "A minor", "sad", ("flute", "piano"), drums=True, meter="3/4")


def batches(folder: Path, dropout: Dropout) -> CropBatches:
    codes = np.arange(2 * 4 * 100).reshape(2, 4, 100).astype(np.uint16)
    pitch = np.full((2, 100), 5, np.uint8)
    other = replace(FACTS, genre="jazz", instruments=(), key="", drums=True)
    write_shard(folder / "0.npz", Shard(codes, pitch, [FACTS, other]))
    return CropBatches(
        folder=folder, seed=0, batch=16, frames=50, steps=53, pitch_frames=4, pitch_stride=12.5,
        from_start=0.5, dropout=dropout, words=WORDS, more_captions=5,
        templates=("a {genre} that I wrote",),
    )  # fmt: skip


def test_rows_tell_what_the_song_has() -> None:
    rows = steady_rows(FACTS, WORDS)
    assert rows["genre"].tolist() == [0, 1]
    assert rows["lead"].tolist() == [0, 1]
    assert rows["key"][12 + 9] == 1
    drums_alone = steady_rows(replace(FACTS, instruments=(), key=""), WORDS)
    assert not drums_alone["lead"].any()
    assert not drums_alone["key"].any()


def test_classes_are_due_of_what_the_caption_names() -> None:
    told = NamedFacts(genre="jazz", lead="", mode="minor", drums=None)
    assert word_classes(FACTS, told, WORDS).tolist() == [tempo_class(90), 1, 1, 0, 0]
    silent = replace(FACTS, key="", instruments=())
    assert word_classes(silent, NamedFacts(), WORDS).tolist() == [
        tempo_class(90),
        NO_CLASS,
        0,
        0,
        0,
    ]


def test_a_batch_is_a_function_of_its_number(tmp_path: Path) -> None:
    one, two = (batches(tmp_path, Dropout())(3) for _ in range(2))
    assert one.captions == two.captions
    assert torch.equal(one.codes, two.codes)
    assert one.codes.shape == (16, 4, 50)
    assert len(one.more_captions) == len(one.more_words) == 5
    assert one.beats.shape[:2] == one.history.shape == (16, 53)


def test_what_is_withheld_is_zeros(tmp_path: Path) -> None:
    nothing = batches(tmp_path, Dropout(all=1.0))(0)
    for name in ("pitch", "beats", "drums", "key", "genre", "lead"):
        assert not getattr(nothing, name).any(), name
    assert set(nothing.captions) == {""}
    assert (nothing.words == NO_CLASS).all()
    all_of_it = batches(tmp_path, replace(HELD_OUT, melody=0.0, beats=0.0))(0)
    assert all_of_it.beats.any(-1).all()
    assert all_of_it.drums.any(-1).all()
    assert (all_of_it.pitch == 5).all()


def test_some_are_withheld_and_some_are_not(tmp_path: Path) -> None:
    many = [batches(tmp_path, Dropout(all=0.0, key=0.5))(step) for step in range(8)]
    told = torch.cat([batch.key.any(-1) for batch in many])
    assert 0.1 < float(told.float().mean()) < 0.4, "half of the songs have no key"


def test_the_model_is_to_draw_up_to_half_of_what_some_crops_hear(tmp_path: Path) -> None:
    many = [batches(tmp_path, Dropout(own=0.5))(step) for step in range(8)]
    chosen = torch.cat([batch.uniforms for batch in many]) != NOT_DRAWN
    assert torch.equal(chosen.any(1), chosen.all(1)), "all codebooks of a step, or none"
    shares = chosen.float().mean((1, 2))
    assert 0.3 < float((shares > 0).float().mean()) < 0.7
    assert 0.3 < float(shares.max()) < MAX_OWN + 0.2
    assert (batches(tmp_path, HELD_OUT)(0).uniforms == NOT_DRAWN).all()


@pytest.mark.parametrize("seed", range(0, 300, 7))
def test_a_key_that_a_caption_names_is_read_from_it(seed: int) -> None:
    facts = compose(seed, 8.0).facts
    rng, right = np.random.default_rng(seed), 0
    for _ in range(20):
        said = write_caption(facts, rng)
        expected = parse_key(said.named.key) if said.named.key else None
        right += named_key(said.text) == expected
    assert right >= 19, "of 20; now and then it is written beyond recognition"


def test_the_text_encoder_knows_all_that_the_corpus_has() -> None:
    words = all_words()
    facts = [compose(seed, 8.0).facts for seed in range(60)]
    assert {fact.genre for fact in facts} <= set(words.genres)
    assert {fact.instruments[0] for fact in facts if fact.instruments} <= set(words.leads)


def test_captions_of_the_users_own_join_in(tmp_path: Path) -> None:
    many = [batches(tmp_path, Dropout())(step) for step in range(20)]
    captions = [caption for batch in many for caption in batch.more_captions]
    assert 0.05 < np.mean(["that I wrote" in caption for caption in captions]) < 0.4
