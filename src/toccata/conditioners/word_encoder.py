"""The text encoder of `mini`: small, trained with the language model, without a vocabulary file.

The embedding of a word is the mean of hashed pieces (the word and its letter trigrams, as in
Bojanowski et al. 2017), so that unseen and misspelt words are near known ones. The embedding of a
number also depends on its value, so that 93 bpm is between 92 and 94. Two transformer layers relate
words to each other ("no" and "drums", "92" and "bpm"). Heads predict the distributions of tempo and
mode that fit the prompt ("happy rock"), and the genre, lead and drums if it names them.
"""

from __future__ import annotations

import math
import re
import unicodedata
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from toccata.analysis.key import Key, Mode
from toccata.config_limits import check_limits
from toccata.decoder.layers import wide_dtype, widened

SLOWEST_BPM, BPM_PER_CLASS = 40, 2
WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+#?")
NUMBER_WAVES = 16
MODES: tuple[Mode, Mode] = ("major", "minor")
DRUMS = ("none", "some")
NOT_NAMED = 0.5  # the probability from which on a kind counts as not named


@dataclass(frozen=True)
class WordsConfig:
    """The shape of a word encoder.

    Attributes:
        dim: The width of text states.
        layers: The number of transformer layers.
        heads: The number of attention heads.
        buckets: The number of hash buckets for pieces of words.
        max_words: The number of words that are encoded; further words are ignored.
        tempo_classes: The number of tempo classes; 90 are 40, 42, ... 218 bpm. 0 predicts no tempo.
        genres: The genres that can be named; without any, no genre, lead and mode is predicted.
        leads: The lead instruments that can be named.

    Raises:
        CheckpointError: If a number is out of range.
    """

    dim: int = 192
    layers: int = 2
    heads: int = 4
    buckets: int = 4096
    max_words: int = 24
    tempo_classes: int = 0
    genres: tuple[str, ...] = ()
    leads: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_limits(self)

    @property
    def tags(self) -> Mapping[str, tuple[str, ...]]:
        """The tags of each kind that a prompt can name."""
        return {"genre": self.genres, "lead": self.leads, "drums": DRUMS}


def words_of(prompt: str) -> list[str]:
    """Split a prompt into lower-case words and numbers; "80bpm" gives "80" and "bpm"."""
    return WORD.findall(unicodedata.normalize("NFKC", prompt).casefold())


def tempo_class(bpm: float) -> int:
    """Return the nearest class of a tempo of at least 40 bpm."""
    return round((bpm - SLOWEST_BPM) / BPM_PER_CLASS)


def mean_of_words(states: Tensor) -> Tensor:
    """Average text states over words: [B, max_words, dim] -> [B, dim]; zeros without any word."""
    return states.sum(1) / states.any(-1, keepdim=True).sum(1).clamp(min=1)


def pieces_of(word: str, buckets: int) -> list[int]:
    """Return the buckets of a word and its letter trigrams; bucket 0 is the padding."""
    marked = f"<{word}>"
    grams = [] if word[0].isdigit() else [marked[i : i + 3] for i in range(len(marked) - 2)]
    return [1 + zlib.crc32(piece.encode()) % (buckets - 1) for piece in [marked, *grams]]


def number_waves(word: str) -> list[float]:
    """Encode a number as sines and cosines of its logarithm; zeros for a word."""
    if not word[0].isdigit():
        return [0.0] * NUMBER_WAVES
    octave = math.log2(1.0 + float(word))
    cycles = [octave * 2.0 ** (i / 2) for i in range(NUMBER_WAVES // 2)]
    return [wave(math.pi * cycle) for cycle in cycles for wave in (math.sin, math.cos)]


class WordsTextEncoder(nn.Module):
    """Encodes prompts as text states [B, max_words, dim], with zeros after the last word.

    Because of the fixed length, codes have the same positions with any prompt. Words after the
    first `max_words` are ignored.
    """

    def __init__(self, config: WordsConfig) -> None:
        super().__init__()
        self.config = config
        self.pieces = nn.EmbeddingBag(config.buckets, config.dim, mode="mean", padding_idx=0)
        self.numbers = nn.Linear(NUMBER_WAVES, config.dim, bias=False)
        self.positions = nn.Parameter(0.02 * torch.randn(config.max_words, config.dim))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                config.dim, config.heads, 4 * config.dim, 0.0, "gelu",
                batch_first=True, norm_first=True,
            )
            for _ in range(config.layers)
        )  # fmt: skip
        self.norm = nn.LayerNorm(config.dim)
        self.tempo = nn.Linear(config.dim, config.tempo_classes) if config.tempo_classes else None
        # Class 0 of each kind is "not named".
        self.tags = nn.ModuleDict(
            {kind: nn.Linear(config.dim, 1 + len(known)) for kind, known in config.tags.items()}
            if config.genres
            else {}
        )
        self.mode = nn.Linear(config.dim, len(MODES)) if config.genres else None

    @torch.inference_mode()
    def encode(self, prompt: str) -> Tensor:
        """Encode one prompt to [max_words, dim]; an empty one to zeros."""
        return self._states(prompt)[0].to(self.positions.dtype)

    @torch.inference_mode()
    def likely_bpm(self, prompt: str, uniform: float) -> float | None:
        """Sample a tempo that fits the prompt, see `MusicTextEncoder.likely_bpm`."""
        if self.tempo is None:
            return None
        probabilities = self._probabilities(self.tempo, prompt)
        index = int((probabilities.cumsum(-1) < uniform).sum())
        return float(SLOWEST_BPM + BPM_PER_CLASS * min(index, len(probabilities) - 1))

    @torch.inference_mode()
    def likely_key(self, prompt: str, uniform: float) -> Key | None:
        """Sample a key: any tonic with equal probability, and a mode that fits the prompt."""
        if self.mode is None:
            return None
        tonic, rest = divmod(12 * uniform, 1.0)
        major = float(self._probabilities(self.mode, prompt)[0])
        return int(tonic), MODES[0] if rest < major else MODES[1]

    @torch.inference_mode()
    def named(self, prompt: str) -> dict[str, Tensor]:
        """Predict the tags that a prompt names, see `MusicTextEncoder.named`."""
        classes = {kind: self._probabilities(head, prompt) for kind, head in self.tags.items()}
        return {
            kind: (probabilities[1:] / probabilities[1:].sum()).float()
            for kind, probabilities in classes.items()
            if probabilities[0] < NOT_NAMED
        }

    def _states(self, prompt: str) -> Tensor:
        """Encode a prompt to [1, max_words, dim], in the dtype of `wide_dtype`."""
        states: Tensor = widened(self, wide_dtype(self.positions.device))([prompt])
        return states

    def _probabilities(self, head: nn.Module, prompt: str) -> Tensor:
        """Return the probability of each class of a head, [N]."""
        mean = mean_of_words(self._states(prompt))
        logits: Tensor = widened(head, mean.dtype)(mean)
        return logits[0].softmax(-1)

    def forward(self, prompts: Sequence[str]) -> Tensor:
        words = [words_of(prompt)[: self.config.max_words] for prompt in prompts]
        present = self._present(words)
        x = self._embed(words) + self.positions
        # A prompt without words would have no key and become nan, so it attends to position 0.
        hidden_keys = ~present
        hidden_keys[:, 0] = False
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=hidden_keys)
        out: Tensor = self.norm(x) * present[..., None]
        return out

    def _present(self, words: list[list[str]]) -> Tensor:
        counts = torch.tensor([len(row) for row in words], device=self.positions.device)
        places = torch.arange(self.config.max_words, device=self.positions.device)
        return places < counts[:, None]

    def _embed(self, words: list[list[str]]) -> Tensor:
        padded = [row + [""] * (self.config.max_words - len(row)) for row in words]
        flat = [word for row in padded for word in row]
        pieces = [pieces_of(word, self.config.buckets) if word else [0] for word in flat]
        waves = [number_waves(word) if word else [0.0] * NUMBER_WAVES for word in flat]
        device = self.positions.device
        starts = torch.tensor([0, *(len(p) for p in pieces[:-1])], device=device).cumsum(0)
        bag = self.pieces(torch.tensor([i for p in pieces for i in p], device=device), starts)
        x: Tensor = bag + self.numbers(torch.tensor(waves, device=device).to(bag.dtype))
        return x.view(len(words), self.config.max_words, -1)
