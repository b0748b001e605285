"""Batches for the LM: crops of encoded songs with melodies and newly written captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recipes.mini.captions import NamedFacts, write_caption
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
    """Dropout probabilities of conditions, so that guidance has an unconditional branch.

    history: how often a random share of a crop's previous codes is dropped; the model would else
    learn from them alone what the conditions contain too (Bowman et al. 2016, section 3.2).
    own: how often a random share of them, half at most, is sampled by the model itself (scheduled
    sampling: Mihaylova and Martins 2019, "Scheduled sampling for transformers", section 2).
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
    """The training data of one crop; a dropped condition is all zeros, or "".

    Attributes:
        codes: [K, T].
        pitch: Pitch classes [P]; the unconditional melody is 0 too.
        beats: [S, FEATURES].
        drums: The per-step condition of all steps; also key, genre, lead.
        history: Which steps' codes are not dropped [S].
        uniforms: Uniform noise in [0, 1) where the model samples the codes, else NOT_DRAWN [K, S],
            float64.
        words: Classes that the text encoder must predict from the caption, else NO_CLASS.
    """

    codes: Tensor
    pitch: Tensor
    beats: Tensor
    drums: Tensor
    key: Tensor
    genre: Tensor
    lead: Tensor
    history: Tensor
    uniforms: Tensor
    words: Tensor
    caption: str


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows, every tensor with a dimension [B] before its own.

    more_captions, more_words [M, 5]: captions without music, for the text encoder alone, because a
    step has few songs for all the words there are.
    """

    codes: Tensor
    pitch: Tensor
    beats: Tensor
    drums: Tensor
    key: Tensor
    genre: Tensor
    lead: Tensor
    history: Tensor
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
    """Makes batch number `step`, a function of the seed, the step and the shards on disk."""

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
        """Read the shards again, of which there may be more now."""
        self.shards = list(read_shards(self.folder))
        if not self.shards:
            raise InputError(
                "corpus", str(self.folder), "generate it first: python -m recipes.mini corpus"
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
        caption = write_caption(shard.facts[song], rng, self.templates)
        return caption.text, word_classes(shard.facts[song], caption.named, self.words)

    def _row(self, rng: np.random.Generator) -> Row:
        shard, song = self._song(rng)
        last = shard.codes.shape[2] - self.frames
        start = 0 if rng.random() < self.from_start else int(rng.integers(last + 1))
        at = np.minimum(start + self.pitch_offsets, start + self.frames - 1)
        caption = write_caption(shard.facts[song], rng, self.templates)
        codes = shard.codes[song, :, start : start + self.frames].astype(np.int64)
        row = Row(
            codes=torch.from_numpy(codes),
            pitch=torch.from_numpy(shard.pitch[song, at].astype(np.int64)),
            **steady_rows(shard.facts[song], self.words),
            beats=beat_rows(Beats(shard.facts[song].bpm), start, self.steps, FRAMES_PER_SECOND),
            history=torch.from_numpy(self._history(rng)),
            uniforms=torch.from_numpy(self._uniforms(rng, len(codes))),
            words=word_classes(shard.facts[song], caption.named, self.words),
            caption=caption.text,
        )
        return self._dropped(row, rng)

    def _history(self, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        share = rng.random() if rng.random() < self.dropout.history else 0.0
        return rng.random(self.steps) >= share

    def _uniforms(
        self, rng: np.random.Generator, books: int
    ) -> np.ndarray[Any, np.dtype[np.float64]]:
        share = rng.random() * MAX_OWN if rng.random() < self.dropout.own else 0.0
        drawn = rng.random((1, self.steps)) < share
        uniforms = rng.random((books, self.steps))
        return np.where(drawn, uniforms, NOT_DRAWN)

    def _dropped(self, row: Row, rng: np.random.Generator) -> Row:
        dropout = self.dropout
        nothing = rng.random() < dropout.all
        shares = {
            "pitch": dropout.melody, "beats": dropout.beats, "drums": dropout.drums,
            "key": dropout.key, "genre": dropout.genre, "lead": dropout.lead,
        }  # fmt: skip
        dropped: dict[str, Any] = {
            name: torch.zeros_like(getattr(row, name))
            for name, share in shares.items()
            if rng.random() < share or nothing
        }
        if rng.random() < dropout.text or nothing:
            # A dropped caption has nothing to predict.
            dropped |= {"caption": "", "words": torch.full_like(row.words, NO_CLASS)}
        return replace(row, **dropped)


def steady_rows(facts: Facts, words: WordsConfig) -> dict[str, Tensor]:
    """The per-step conditions of all steps of a song; zeros for what it does not have."""
    lead = facts.instruments[0] if facts.instruments else ""
    return {
        "drums": drum_row(facts.drums),
        "key": key_row(parse_key(facts.key)) if facts.key else torch.zeros(KEY_FEATURES),
        "genre": _one_hot(facts.genre, words.genres),
        "lead": _one_hot(lead, words.leads),
    }


def word_classes(facts: Facts, named: NamedFacts, words: WordsConfig) -> Tensor:
    """The classes that the text encoder must predict [5], int64.

    They are the song's tempo and mode, and the genre, the lead and the drums that the caption
    names, 0 for none.
    """
    mode = MODES.index(parse_key(facts.key)[1]) if facts.key else NO_CLASS
    genre = 1 + words.genres.index(named.genre) if named.genre in words.genres else 0
    lead = 1 + words.leads.index(named.lead) if named.lead in words.leads else 0
    drums = 0 if named.drums is None else 1 + int(named.drums)
    return torch.tensor([tempo_class(facts.bpm), mode, genre, lead, drums])


def _one_hot(name: str, known: Sequence[str]) -> Tensor:
    return torch.tensor([float(name == one) for one in known])
