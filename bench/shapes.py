"""Sizes of models with random weights. No torch here: the parent process stays small."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """A model that cross-attends to text: the one kind that every system can run.

    filters and dimension are the codec's. Everything not said here is as in MusicGen.
    """

    dim: int
    layers: int
    heads: int
    ffn_dim: int
    card: int
    filters: int
    dimension: int
    text_dim: int
    text_layers: int
    text_heads: int
    text_ffn_dim: int
    text_vocabulary: int
    codebooks: int = 4

    @property
    def text_head_dim(self) -> int:
        return self.text_dim // self.text_heads


SHAPES = {
    "tiny": Shape(
        dim=64, layers=2, heads=4, ffn_dim=128, card=64, filters=4, dimension=16,
        text_dim=32, text_layers=2, text_heads=2, text_ffn_dim=64, text_vocabulary=64,
    ),
    # The sizes of the model that ships, which itself takes its text as a prefix.
    "mini": Shape(
        dim=256, layers=8, heads=4, ffn_dim=1024, card=1024, filters=16, dimension=64,
        text_dim=192, text_layers=2, text_heads=4, text_ffn_dim=768, text_vocabulary=4096,
    ),
    # facebook/musicgen-small, with its EnCodec of 32 kHz and T5-base.
    "small": Shape(
        dim=1024, layers=24, heads=16, ffn_dim=4096, card=2048, filters=64, dimension=128,
        text_dim=768, text_layers=12, text_heads=12, text_ffn_dim=3072, text_vocabulary=32128,
    ),
}  # fmt: skip
