"""The embedding networks by name, and their interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from toccata.audio.transforms import Samples


class Embedder(Protocol):
    """A network from audio to an embedding of each window."""

    def embed(self, samples: Samples, sample_rate_hz: int) -> Tensor:
        """Embed samples [N] or [C, N] at any rate: [W, D] float32, W at least 1."""
        ...


class WordEmbedder(Embedder, Protocol):
    """A network that embeds text in the same space as audio."""

    def embed_words(self, texts: Sequence[str]) -> Tensor:
        """Embed texts: [len(texts), D]."""
        ...


class Labeller(Protocol):
    """A network from audio to label probabilities of each window."""

    def label(self, samples: Samples, sample_rate_hz: int) -> Tensor:
        """Label samples [N] or [C, N] at any rate: [S, L]; S is 0 for audio that is too short."""
        ...


@dataclass(frozen=True)
class Source:
    """Where weights come from: `place` is a hub id, file or folder; None: the published ones."""

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


def windows(audio: Tensor, length: int, hop: int) -> Tensor:
    """Cut mono audio [N] into whole windows, one every `hop` samples.

    Returns:
        Windows [W, length], without the rest at the end; all of a shorter clip, [1, N].
    """
    return audio[None] if len(audio) < length else audio.unfold(0, length, hop)


# A row more here, and `toccata measure` knows fad-NAME.
EMBEDDERS: Mapping[str, Callable[[Source], Embedder]] = {"clap": _clap, "vggish": _vggish}
WORD_EMBEDDERS: Mapping[str, Callable[[Source], WordEmbedder]] = {"clap": _clap}
LABELLERS: Mapping[str, Callable[[Source], Labeller]] = {"passt": _passt}
