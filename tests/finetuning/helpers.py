"""Tiny runs: a fake model, and music that has a rule to be learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.fakes import fake_model
from toccata.decoder.lora import LoraConfig
from toccata.finetuning.dataset import Item, Tags
from toccata.finetuning.options import FinetuneOptions
from toccata.finetuning.ranks import Ranks
from toccata.finetuning.run_files import RunFiles
from toccata.finetuning.trainer import Trainer
from toccata.models.model import Model

BOOKS, CARD, FRAMES = 4, 16, 20
OPTIONS: dict[str, Any] = {
    "steps": 6, "batch": 2, "lr": 0.02, "warmup_steps": 1, "validate_every": 3, "precision": "fp32",
    "lora": LoraConfig(4, 8.0),
}  # fmt: skip


def song(number: int) -> NDArray[np.uint16]:
    """Scales: each code says what the next one is."""
    frames = FRAMES - number % 3 * 4
    steps = np.arange(frames) + number
    return np.stack([(steps * (book + 1)) % CARD for book in range(BOOKS)]).astype(np.uint16)


def item(number: int, *, held_out: bool = False, melody: bool = False, books: int = 1) -> Item:
    rows = np.eye(12, dtype=np.float32)[np.arange(26) % 12] if melody else None
    return Item(
        name=f"{number}.wav",
        start_s=0.0,
        caption="calm piano, 120 bpm" if number % 2 else "loud drums",
        tags=Tags(bpm=100.0, key=None, loudness_lufs=-14.0),
        codes=np.repeat(song(number), books, 0),
        melody=rows,
        held_out=held_out,
    )


def items(count: int = 8, held: int = 2, **more: Any) -> list[Item]:
    return [item(number, held_out=number < held, **more) for number in range(count + held)]


def options(**more: Any) -> FinetuneOptions:
    return FinetuneOptions(**{**OPTIONS, **more}).resolved()


def trainer(
    folder: Path,
    model: Model | None = None,
    music: list[Item] | None = None,
    ranks: Ranks | None = None,
    **more: Any,
) -> Trainer:
    return Trainer(
        model or fake_model(), music or items(), options(**more), RunFiles(folder), ranks
    )
