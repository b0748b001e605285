"""The embedding networks by name, and their interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from toccata.audio.transforms import Samples


class Embedder(Protocol):
    """Turns sound into embeddings, one for each of its windows."""

    def embed(self, samples: Samples, sample_rate_hz: int) -> Tensor:
        """Samples [N] or [C, N] at any rate to [W, D] float32, W at least 1."""
        ...


class WordEmbedder(Embedder, Protocol):
    """Has words in the same space."""

    def embed_words(self, texts: Sequence[str]) -> Tensor:
        """[len(texts), D]."""
        ...


class Labeller(Protocol):
    """Turns sound into probabilities of labels, for each of its windows."""

    def label(self, samples: Samples, sample_rate_hz: int) -> Tensor:
        """Samples [N] or [C, N] at any rate to [S, L]; S is 0 for what is too short."""
        ...


@dataclass(frozen=True)
class Source:
    """Where weights come from: `place` is a hub id, file or folder, None the published ones."""

    device: torch.device
    place: str | None = None
    offline: bool = False


def _clap(source: Source) -> WordEmbedder:
    from toccata.evaluation import clap

    return clap.load(source)


def _vggish(source: Source) -> Embedder:
    from toccata.evaluation import vggish

    return vggish.load(source)


def _passt(source: Source) -> Labeller:
    from toccata.evaluation import passt

    return passt.load(source)


# A row more here, and `toccata measure` knows fad-NAME.
EMBEDDERS: Mapping[str, Callable[[Source], Embedder]] = {"clap": _clap, "vggish": _vggish}
WORD_EMBEDDERS: Mapping[str, Callable[[Source], WordEmbedder]] = {"clap": _clap}
LABELLERS: Mapping[str, Callable[[Source], Labeller]] = {"passt": _passt}
