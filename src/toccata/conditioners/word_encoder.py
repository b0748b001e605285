"""The text encoder of `mini`: small, trained with the language model, without a vocabulary file.

A word is the sum of hashed pieces (the word itself and its letter trigrams, as in Bojanowski et
al. 2017), so that unseen and misspelt words land near known ones. A number also carries its
value, so that 93 bpm lies between 92 and 94. Two transformer layers let words see each other
("no" and "drums", "92" and "bpm"). It also learns what goes with the words ("happy rock"): which
tempi, which mode, and the genre, the leading instrument and the drums if they are named.
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
NOT_NAMED = 0.5  # from this likelihood on


@dataclass(frozen=True)
class WordsConfig:
    """tempo_classes: 90 tell 40, 42, ... 218 bpm apart; with none, no tempo is known of words.

    genres, leads: names of what may be named; with none, no genre, no lead and no mode is known.
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
        """Raises CheckpointError for numbers that are not supported."""
        check_limits(self)

    @property
    def tags(self) -> Mapping[str, tuple[str, ...]]:
        """What words may name, by kind."""
        return {"genre": self.genres, "lead": self.leads, "drums": DRUMS}


def words_of(prompt: str) -> list[str]:
    """Lower-case words and numbers; "80bpm" gives "80" and "bpm"."""
    return WORD.findall(unicodedata.normalize("NFKC", prompt).casefold())


def tempo_class(bpm: float) -> int:
    """The nearest class of a tempo from 40 bpm on."""
    return round((bpm - SLOWEST_BPM) / BPM_PER_CLASS)


def mean_of_words(states: Tensor) -> Tensor:
    """Text states [B, max_words, dim] to [B, dim]; zeros where there is no word."""
    return states.sum(1) / states.any(-1, keepdim=True).sum(1).clamp(min=1)


def pieces_of(word: str, buckets: int) -> list[int]:
    """Buckets of the word and its letter trigrams; bucket 0 is never used."""
    marked = f"<{word}>"
    grams = [] if word[0].isdigit() else [marked[i : i + 3] for i in range(len(marked) - 2)]
    return [1 + zlib.crc32(piece.encode()) % (buckets - 1) for piece in [marked, *grams]]


def number_waves(word: str) -> list[float]:
    """The value of a number as waves of its logarithm; zeros for a word."""
    if not word[0].isdigit():
        return [0.0] * NUMBER_WAVES
    octave = math.log2(1.0 + float(word))
    turns = [octave * 2.0 ** (i / 2) for i in range(NUMBER_WAVES // 2)]
    return [wave(math.pi * turn) for turn in turns for wave in (math.sin, math.cos)]


class WordsTextEncoder(nn.Module):
    """Prompts to text states [B, max_words, dim]; always `max_words` rows, zeros past the end.

    The fixed length keeps the audio at the same positions whatever the prompt. Words past
    `max_words` are not heard.
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
        # Of each kind the zeroth class is "not named".
        self.tags = nn.ModuleDict(
            {kind: nn.Linear(config.dim, 1 + len(known)) for kind, known in config.tags.items()}
            if config.genres
            else {}
        )
        self.mode = nn.Linear(config.dim, len(MODES)) if config.genres else None

    @torch.inference_mode()
    def encode(self, prompt: str) -> Tensor:
        """One prompt to [max_words, dim]; an empty prompt to zeros."""
        return self._states(prompt)[0].to(self.positions.dtype)

    @torch.inference_mode()
    def likely_bpm(self, prompt: str, uniform: float) -> float | None:
        """A tempo that goes with the words: of all that do, the one at `uniform` (0 to 1)."""
        if self.tempo is None:
            return None
        shares = self._shares(self.tempo, prompt)
        index = int((shares.cumsum(-1) < uniform).sum())
        return float(SLOWEST_BPM + BPM_PER_CLASS * min(index, len(shares) - 1))

    @torch.inference_mode()
    def likely_key(self, prompt: str, uniform: float) -> Key | None:
        """A key that goes with the words: any tonic, in a mode of theirs."""
        if self.mode is None:
            return None
        tonic, rest = divmod(12 * uniform, 1.0)
        major = float(self._shares(self.mode, prompt)[0])
        return int(tonic), MODES[0] if rest < major else MODES[1]

    @torch.inference_mode()
    def named(self, prompt: str) -> dict[str, Tensor]:
        """By kind, how likely each of what is known is named [N]; without kinds not named."""
        likely = {kind: self._shares(head, prompt) for kind, head in self.tags.items()}
        return {
            kind: (shares[1:] / shares[1:].sum()).float()
            for kind, shares in likely.items()
            if shares[0] < NOT_NAMED
        }

    def _states(self, prompt: str) -> Tensor:
        """[1, max_words, dim] in a dtype whose sums, once rounded, are the same on every CPU."""
        states: Tensor = widened(self, wide_dtype(self.positions.device))([prompt])
        return states

    def _shares(self, head: nn.Module, prompt: str) -> Tensor:
        """How likely each class of a head is [N], in the same dtype."""
        mean = mean_of_words(self._states(prompt))
        logits: Tensor = widened(head, mean.dtype)(mean)
        return logits[0].softmax(-1)

    def forward(self, prompts: Sequence[str]) -> Tensor:
        words = [words_of(prompt)[: self.config.max_words] for prompt in prompts]
        present = self._present(words)
        x = self._embed(words) + self.positions
        # A row with no word would attend to nothing and be nan: it may see its zeroth place.
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
