"""Batches for the LM: crops of encoded songs with freshly worded captions and melodies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recipes.mini.captions import Told, worded
from recipes.mini.composer.composition import FRAMES_PER_SECOND, Facts
from recipes.mini.lm.encode_corpus import Shard, read_shards
from toccata.analysis.key import parse_key
from toccata.conditioners.beats import Beats, beat_rows
from toccata.conditioners.drums import drum_row
from toccata.conditioners.key import FEATURES as KEY_FEATURES
from toccata.conditioners.key import key_row
from toccata.conditioners.word_encoder import MODES, WordsConfig, tempo_class
from toccata.errors import InputError

NO_CLASS = -100  # what torch's cross-entropy leaves out
NOT_DRAWN = -1.0
MAX_OWN = 0.5


@dataclass(frozen=True)
class Dropout:
    """How often a condition is dropped, so that guidance has a null half to learn.

    history: in how many crops a random share of the codes so far is dropped. What they tell and
    the conditions tell too is else learned from them alone (Bowman et al. 2016, section 3.2).
    own: in how many crops a random share of them, half at most, is not the song's but what the
    model would have drawn itself, as all of it is when music is made (Mihaylova and Martins 2019,
    "Scheduled sampling for transformers", section 2).
    """

    all: float = 0.1
    text: float = 0.1
    melody: float = 0.5
    beats: float = 0.2
    drums: float = 0.4
    key: float = 0.3
    genre: float = 0.4
    lead: float = 0.4
    history: float = 0.4
    own: float = 0.0


@dataclass(frozen=True, eq=False)
class Row:
    """What one crop is trained on; a condition that is dropped is all zeros, or "".

    codes [K, T]; pitch [P], 0 being the null melody too; beats [S, FEATURES]; drums, key, genre,
    lead: rows that are told at every step. heard [S]: which steps' codes are not dropped. uniforms
    [K, S] float64: in [0, 1) where the model is to draw the codes, NOT_DRAWN where the song's stay.
    words: classes that the text encoder is to know of the caption, NO_CLASS where none is due.
    """

    codes: Tensor
    pitch: Tensor
    beats: Tensor
    drums: Tensor
    key: Tensor
    genre: Tensor
    lead: Tensor
    heard: Tensor
    uniforms: Tensor
    words: Tensor
    caption: str


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows: every tensor with a dimension [B] before its own.

    more_captions, more_words [M, 5]: captions without music, for the text encoder alone. Words are
    many, and a step hears few songs.
    """

    codes: Tensor
    pitch: Tensor
    beats: Tensor
    drums: Tensor
    key: Tensor
    genre: Tensor
    lead: Tensor
    heard: Tensor
    uniforms: Tensor
    words: Tensor
    captions: list[str]
    more_captions: list[str] = field(default_factory=list)
    more_words: Tensor = field(default_factory=lambda: torch.zeros(0, 5, dtype=torch.int64))

    def to(self, device: torch.device) -> Batch:
        moved: dict[str, Any] = {
            name: value.to(device)
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        return replace(self, **moved)

    @classmethod
    def of(cls, rows: Sequence[Row], more: Sequence[tuple[str, Tensor]] = ()) -> Batch:
        names = [one.name for one in fields(Row) if one.name != "caption"]
        stacked: dict[str, Any] = {
            name: torch.stack([getattr(row, name) for row in rows]) for name in names
        }
        if more:
            stacked["more_captions"] = [caption for caption, _ in more]
            stacked["more_words"] = torch.stack([classes for _, classes in more])
        return cls(**stacked, captions=[row.caption for row in rows])


class CropBatches:
    """Batch number `step` is a function of the seed, the step and the shards on disk."""

    def __init__(
        self, *, folder: Path, seed: int, batch: int, frames: int, steps: int, pitch_frames: int,
        pitch_stride: float, from_start: float, dropout: Dropout, words: WordsConfig,
        more_captions: int = 0, templates: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.folder, self.seed, self.batch = folder, seed, batch
        self.frames, self.steps = frames, steps
        self.pitch_offsets = (np.arange(pitch_frames) * pitch_stride).round().astype(int)
        self.from_start, self.dropout, self.words = from_start, dropout, words
        self.more_captions, self.templates = more_captions, templates
        self.shards: list[Shard] = []
        self.reload()

    def reload(self) -> None:
        """Read the shards anew: more may have been made."""
        self.shards = list(read_shards(self.folder))
        if not self.shards:
            raise InputError(
                "corpus", str(self.folder), "make it first: python -m recipes.mini corpus"
            )

    @property
    def hours(self) -> float:
        return sum(shard.pitch.size for shard in self.shards) / 50 / 3600

    def __call__(self, step: int) -> Batch:
        rng = np.random.default_rng([self.seed, step])
        rows = [self._row(rng) for _ in range(self.batch)]
        return Batch.of(rows, [self._caption(rng) for _ in range(self.more_captions)])

    def _song(self, rng: np.random.Generator) -> tuple[Shard, int]:
        shard = self.shards[int(rng.integers(len(self.shards)))]
        return shard, int(rng.integers(len(shard.facts)))

    def _caption(self, rng: np.random.Generator) -> tuple[str, Tensor]:
        shard, song = self._song(rng)
        said = worded(shard.facts[song], rng, self.templates)
        return said.text, word_classes(shard.facts[song], said.told, self.words)

    def _row(self, rng: np.random.Generator) -> Row:
        shard, song = self._song(rng)
        last = shard.codes.shape[2] - self.frames
        start = 0 if rng.random() < self.from_start else int(rng.integers(last + 1))
        at = np.minimum(start + self.pitch_offsets, start + self.frames - 1)
        said = worded(shard.facts[song], rng, self.templates)
        codes = shard.codes[song, :, start : start + self.frames].astype(np.int64)
        row = Row(
            codes=torch.from_numpy(codes),
            pitch=torch.from_numpy(shard.pitch[song, at].astype(np.int64)),
            **steady_rows(shard.facts[song], self.words),
            beats=beat_rows(Beats(shard.facts[song].bpm), start, self.steps, FRAMES_PER_SECOND),
            heard=torch.from_numpy(self._heard(rng)),
            uniforms=torch.from_numpy(self._uniforms(rng, len(codes))),
            words=word_classes(shard.facts[song], said.told, self.words),
            caption=said.text,
        )
        return self._withhold(row, rng)

    def _heard(self, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        dropped = rng.random() if rng.random() < self.dropout.history else 0.0
        return rng.random(self.steps) >= dropped

    def _uniforms(
        self, rng: np.random.Generator, books: int
    ) -> np.ndarray[Any, np.dtype[np.float64]]:
        share = rng.random() * MAX_OWN if rng.random() < self.dropout.own else 0.0
        drawn = rng.random((1, self.steps)) < share
        uniforms = rng.random((books, self.steps))
        return np.where(drawn, uniforms, NOT_DRAWN)

    def _withhold(self, row: Row, rng: np.random.Generator) -> Row:
        dropout = self.dropout
        nothing = rng.random() < dropout.all
        shares = {
            "pitch": dropout.melody, "beats": dropout.beats, "drums": dropout.drums,
            "key": dropout.key, "genre": dropout.genre, "lead": dropout.lead,
        }  # fmt: skip
        taken: dict[str, Any] = {
            name: torch.zeros_like(getattr(row, name))
            for name, share in shares.items()
            if rng.random() < share or nothing
        }
        if rng.random() < dropout.text or nothing:
            # Nothing is due of words that are not there.
            taken |= {"caption": "", "words": torch.full_like(row.words, NO_CLASS)}
        return replace(row, **taken)


def steady_rows(facts: Facts, words: WordsConfig) -> dict[str, Tensor]:
    """The rows that are told at every step of a song; zeros for what it does not have."""
    lead = facts.instruments[0] if facts.instruments else ""
    return {
        "drums": drum_row(facts.drums),
        "key": key_row(parse_key(facts.key)) if facts.key else torch.zeros(KEY_FEATURES),
        "genre": _one_hot(facts.genre, words.genres),
        "lead": _one_hot(lead, words.leads),
    }


def word_classes(facts: Facts, told: Told, words: WordsConfig) -> Tensor:
    """[5] int64: classes of the tempo and the mode that go with a caption, and of the genre, the
    lead and the drums that it names, 0 for none.
    """
    mode = MODES.index(parse_key(facts.key)[1]) if facts.key else NO_CLASS
    genre = 1 + words.genres.index(told.genre) if told.genre in words.genres else 0
    lead = 1 + words.leads.index(told.lead) if told.lead in words.leads else 0
    drums = 0 if told.drums is None else 1 + int(told.drums)
    return torch.tensor([tempo_class(facts.bpm), mode, genre, lead, drums])


def _one_hot(name: str, known: Sequence[str]) -> Tensor:
    return torch.tensor([float(name == one) for one in known])
