"""The tagger's run at toy size: it learns, and what it writes is what is read."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import yaml

from recipes.mini.codec.train_codec import CodecRun
from recipes.mini.composer.compose import compose
from recipes.mini.composer.instruments import FAMILIES
from recipes.mini.tagger import train_tagger
from recipes.mini.tagger.dataset import GENRES, Lot, labels, read_parts
from recipes.mini.tagger.losses import augmented, batches, cropped
from toccata.analysis import classifier_weights
from toccata.codecs.encodec import Encodec
from toccata.finetuning import training_state
from toccata.finetuning.config_file import from_mapping

SEANET = {"filters": 2, "dimension": 8, "pad_mode": "constant"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the run leaves behind, with a codec that was never trained."""
    place = tmp_path_factory.mktemp("ears")
    codec = from_mapping(CodecRun, {"out": "", "codec": {"card": 16, "seanet": SEANET}}, "codec")
    state = {"weights": Encodec(codec.codec).state_dict(), "config": json.dumps(asdict(codec))}
    training_state.save(place / "codec.pt", state)
    values = {
        "out": str(place / "ears"), "data": str(place / "data"), "codec": str(place),
        "songs": 6, "held_out": 4, "songs_per_part": 3, "song_s": 2.0, "crop_s": 1.5,
        "width": 4, "key_width": 4, "epochs": 2, "batch": 4,
    }  # fmt: skip
    config = place / "tagger.yaml"
    config.write_text(yaml.safe_dump(values))
    train_tagger.main(config)
    return place


def test_a_lot_may_have_few_songs_of_each_lead() -> None:
    plain, varied = (Lot(0, 20, 2.0, per_lead=most).seeds for most in (None, 1))
    assert list(plain) == list(range(20))
    leads = [compose(seed, 2.0).facts.instruments[:1] for seed in varied]
    assert len(set(leads)) == len(leads) == 20


def test_songs_are_heard_clean_and_every_other_one_coded(folder: Path) -> None:
    paths = sorted((folder / "data").glob("*.npz"))
    assert [path.stem for path in paths] == [
        "0500000000", "0500000003", "1000005000", "1000005003",
    ]  # fmt: skip
    dataset = read_parts(paths[:2])
    assert dataset.coded.sum() == 3
    assert len(dataset.keys) == 9
    genre, family, drums, key = labels(compose(500_000_000, 2.0).facts)
    first = dataset.part(torch.tensor([0, 1]))
    assert first.genres.tolist() == [genre] * 2
    assert first.families.tolist() == [family] * 2
    assert first.drums.tolist() == [drums] * 2
    assert first.keys.tolist() == [key] * 2
    assert not torch.equal(first.images[0], first.images[1])


def test_the_weights_know_their_classes_and_their_figures(folder: Path) -> None:
    tagger = classifier_weights.read_tagger(folder / "ears" / classifier_weights.TAGGER)
    assert tagger.classes.genres == GENRES
    assert tagger.classes.families == FAMILIES
    heard = classifier_weights.read_accuracy(folder / "ears" / classifier_weights.TAGGER)
    assert heard.keys() == {"genre", "lead", "drums"}
    assert all(0 <= heard[head][kind] <= 1 for head in heard for kind in ("clean", "coded"))
    classifier_weights.read_key_classifier(folder / "ears" / classifier_weights.KEYS)
    assert classifier_weights.read_accuracy(folder / "ears" / classifier_weights.KEYS)[
        "key"
    ].keys() == {"clean", "coded"}


def test_each_epoch_has_every_clip_once() -> None:
    steps = batches(6, 3, 2, torch.Generator().manual_seed(0))
    assert [len(step) for step in steps] == [3, 3, 3, 3]
    assert sorted(torch.cat(steps[:2]).tolist()) == list(range(6))
    assert [len(step) for step in batches(2, 3, 1, torch.Generator())] == [2]


def test_lessons_are_made_harder_but_stay_what_they_were() -> None:
    rng = torch.Generator().manual_seed(0)
    images = torch.linspace(-3, 0, 64).repeat(4, 100, 1).transpose(1, 2)
    made = augmented(images, rng)
    assert made.shape == images.shape
    assert made.isfinite().all()
    assert (made - images).abs().median() < 0.3
    assert cropped(images, 40, rng).shape == (4, 64, 40)
