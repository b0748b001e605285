"""The tagger run: a tagger and a key classifier, for evaluation and continuation.

songs -> clean and coded clips -> tagger (genre, lead, drums) and key classifier -> accuracy on
held-out songs -> two files of weights with it
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from recipes.mini.composer.examples import VALIDATION_SEED
from recipes.mini.composer.instruments import FAMILIES
from recipes.mini.composer.seeds import CANDIDATES
from recipes.mini.tagger.dataset import GENRES, UNKNOWN, Lot, TaggerDataset, parts, read_parts
from recipes.mini.tagger.losses import Crops, batches, key_loss, tagging_loss, train
from toccata.analysis import classifier_weights
from toccata.analysis.key_classifier import KeyClassifier
from toccata.analysis.tagger import Classes, Tagger, TagLogits
from toccata.finetuning.config_file import load_config

log = logging.getLogger(__name__)
# Between the seeds of other validations and those of `python -m recipes.mini evaluate`.
HELD_OUT_SEED = VALIDATION_SEED + 5_000
_AT_ONCE = 64


@dataclass(frozen=True)
class TaggerRun:
    """A run on `songs` songs, tested on `held_out` others.

    out: the folder of the weights. data: the folder of the dataset. codec: the folder of the
    codec's run. coded_every: every so many songs, the decoded codes of one are in the dataset too.
    per_lead: the maximum of training songs of a part with the same lead; None: no limit.
    """

    out: str
    data: str
    codec: str
    seed: int = 500_000_000
    songs: int = 3000
    held_out: int = 400
    songs_per_part: int = 100
    song_s: float = 10.0
    crop_s: float = 8.0
    coded_every: int = 2
    processes: int = 1
    width: int = 24
    key_width: int = 32
    per_lead: int | None = None
    epochs: int = 10
    batch: int = 32
    lr: float = 3e-3


def main(config: Path, soundfont: Path | None = None) -> Path:
    """Render the songs, train both networks and write their weights; returns the folder."""
    run = load_config(config, TaggerRun)
    learned = _dataset(run, _learned_lots(run), soundfont)
    held_out = _dataset(run, _lots(run, HELD_OUT_SEED, run.held_out), soundfont)
    crops = Crops.of(run.crop_s, run.song_s, learned)
    torch.manual_seed(run.seed)
    tagger = Tagger(Classes(GENRES, FAMILIES, run.width))
    _train(run, tagger, learned, partial(tagging_loss, tagger, crops=crops))
    accuracy = tagger_accuracy(tagger, held_out, crops)
    log.info("tagger, held out: %s", accuracy)
    classifier_weights.write_tagger(Path(run.out) / classifier_weights.TAGGER, tagger, accuracy)
    network = KeyClassifier(run.key_width)
    tonal = learned.part(learned.keys != UNKNOWN)
    _train(run, network, tonal, partial(key_loss, network, crops=crops))
    accuracy = key_accuracy(network, held_out, crops)
    log.info("keys, held out: %s", accuracy)
    classifier_weights.write_key_classifier(
        Path(run.out) / classifier_weights.KEYS, network, accuracy
    )
    return Path(run.out)


def _learned_lots(run: TaggerRun) -> list[Lot]:
    lots = _lots(run, run.seed, run.songs)
    if run.per_lead is None:
        return lots
    return [
        replace(lot, seed=run.seed + CANDIDATES * (lot.seed - run.seed), per_lead=run.per_lead)
        for lot in lots
    ]


def _lots(run: TaggerRun, seed: int, songs: int) -> list[Lot]:
    step = run.songs_per_part
    return [
        Lot(first, min(step, seed + songs - first), run.song_s, run.coded_every)
        for first in range(seed, seed + songs, step)
    ]


def _dataset(run: TaggerRun, lots: Sequence[Lot], soundfont: Path | None) -> TaggerDataset:
    return read_parts(parts(Path(run.data), lots, Path(run.codec), run.processes, soundfont))


def _train(
    run: TaggerRun, network: nn.Module, dataset: TaggerDataset, loss_of: Callable[..., Tensor]
) -> None:
    rng = torch.Generator().manual_seed(run.seed)
    steps = batches(len(dataset.keys), run.batch, run.epochs, rng)

    def loss_of_step(chosen: Tensor) -> Tensor:
        return loss_of(dataset=dataset.part(chosen), rng=rng)

    train(network, loss_of_step, steps, run.lr)


@torch.inference_mode()
def tagger_accuracy(
    tagger: Tagger, dataset: TaggerDataset, crops: Crops
) -> classifier_weights.Accuracy:
    """The accuracy by head, of clean and of coded clips, from the beginning of each."""
    images = dataset.images[..., : crops.image].float()
    logits = TagLogits(
        *map(torch.cat, zip(*map(tagger, torch.split(images, _AT_ONCE)), strict=True))
    )
    return {
        "genre": _shares(logits.genres.argmax(-1), dataset.genres, dataset.coded),
        "lead": _shares(logits.families.argmax(-1), dataset.families, dataset.coded),
        "drums": _shares((logits.drums > 0).long(), dataset.drums, dataset.coded),
    }


@torch.inference_mode()
def key_accuracy(
    network: KeyClassifier, dataset: TaggerDataset, crops: Crops
) -> classifier_weights.Accuracy:
    registers = dataset.registers[..., : crops.registers].float()
    keys = torch.cat([network(part) for part in torch.split(registers, _AT_ONCE)]).argmax(-1)
    return {"key": _shares(keys, dataset.keys, dataset.coded)}


def _shares(predicted: Tensor, labels: Tensor, coded: Tensor) -> dict[str, float]:
    """The accuracy of clips that have a label."""
    labelled = labels != UNKNOWN
    right = (predicted == labels).float()
    masks = {"clean": labelled & ~coded, "coded": labelled & coded}
    return {name: round(float(right[mask].mean()), 4) for name, mask in masks.items()}
