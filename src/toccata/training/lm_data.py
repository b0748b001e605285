"""Batches for the LM: crops of encoded songs with freshly worded captions and melodies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from toccata.conditioners.beats import Beats, beat_rows
from toccata.conditioners.drums import drum_row
from toccata.conditioners.words import tempo_class
from toccata.errors import InputError
from toccata.training.corpus.captions import caption
from toccata.training.corpus.song import FRAMES_PER_SECOND
from toccata.training.corpus_run import Shard, read_shards


@dataclass(frozen=True)
class Dropout:
    """How often a condition is withheld, so that guidance has a null half to learn.

    history: in how many crops a random share of the codes so far is withheld. What they tell and
    the conditions tell too is else learned from them alone (Bowman et al. 2016, section 3.2).
    """

    all: float = 0.1
    text: float = 0.1
    melody: float = 0.5
    beats: float = 0.2
    drums: float = 0.4
    history: float = 0.4


@dataclass(frozen=True, eq=False)
class Batch:
    """codes [B, K, T]; pitch [B, P], 0 (the null melody) where withheld; captions, "" likewise;
    beats [B, S, FEATURES], zeros likewise. tempo [B]: the class of tempo. heard [B, S]: which
    steps' codes are not withheld. drums [B, 2], zeros likewise.
    """

    codes: Tensor
    pitch: Tensor
    captions: list[str]
    beats: Tensor
    tempo: Tensor
    heard: Tensor
    drums: Tensor


@dataclass(frozen=True, eq=False)
class Crop:
    """One row of a batch."""

    codes: np.ndarray[tuple[int, int], np.dtype[np.uint16]]
    pitch: np.ndarray[tuple[int], np.dtype[np.uint8]]
    caption: str
    beats: Tensor
    tempo: int
    heard: np.ndarray[tuple[int], np.dtype[np.bool_]]
    drums: Tensor


class CropBatches:
    """Batch number `step` is a function of the seed, the step and the shards on disk."""

    def __init__(
        self, *, folder: Path, seed: int, batch: int, frames: int, steps: int, pitch_frames: int,
        pitch_stride: float, from_start: float, dropout: Dropout,
    ) -> None:  # fmt: skip
        self.folder, self.seed, self.batch = folder, seed, batch
        self.frames, self.steps = frames, steps
        self.pitch_offsets = (np.arange(pitch_frames) * pitch_stride).round().astype(int)
        self.from_start, self.dropout = from_start, dropout
        self.shards: list[Shard] = []
        self.reload()

    def reload(self) -> None:
        """Read the shards anew: more may have been made."""
        self.shards = list(read_shards(self.folder))
        if not self.shards:
            raise InputError("corpus", str(self.folder), "make it first: toccata train corpus")

    @property
    def hours(self) -> float:
        return sum(shard.pitch.size for shard in self.shards) / 50 / 3600

    def __call__(self, step: int) -> Batch:
        rng = np.random.default_rng([self.seed, step])
        crops = [self._crop(rng) for _ in range(self.batch)]
        codes = torch.from_numpy(np.stack([crop.codes for crop in crops]).astype(np.int64))
        pitch = torch.from_numpy(np.stack([crop.pitch for crop in crops]).astype(np.int64))
        beats = torch.stack([crop.beats for crop in crops])
        tempo = torch.tensor([crop.tempo for crop in crops])
        heard = torch.from_numpy(np.stack([crop.heard for crop in crops]))
        drums = torch.stack([crop.drums for crop in crops])
        captions = [crop.caption for crop in crops]
        return Batch(codes, pitch, captions, beats, tempo, heard, drums)

    def _crop(self, rng: np.random.Generator) -> Crop:
        shard = self.shards[int(rng.integers(len(self.shards)))]
        song = int(rng.integers(len(shard.facts)))
        last = shard.codes.shape[2] - self.frames
        start = 0 if rng.random() < self.from_start else int(rng.integers(last + 1))
        pitch = shard.pitch[song, np.minimum(start + self.pitch_offsets, start + self.frames - 1)]
        facts = shard.facts[song]
        text = caption(facts, rng)
        beats = beat_rows(Beats(facts.bpm), start, self.steps, FRAMES_PER_SECOND)
        if (nothing := rng.random() < self.dropout.all) or rng.random() < self.dropout.melody:
            pitch = np.zeros_like(pitch)
        if nothing or rng.random() < self.dropout.text:
            text = ""
        if nothing or rng.random() < self.dropout.beats:
            beats = torch.zeros_like(beats)
        drums = drum_row(facts.drums)
        if nothing or rng.random() < self.dropout.drums:
            drums = torch.zeros_like(drums)
        codes = shard.codes[song, :, start : start + self.frames]
        withheld = rng.random() if rng.random() < self.dropout.history else 0.0
        heard = rng.random(self.steps) >= withheld
        return Crop(codes, pitch, text, beats, tempo_class(facts.bpm), heard, drums)
