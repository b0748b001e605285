"""The shapes of the published checkpoints; this module does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from toccata.errors import InputError


@dataclass(frozen=True)
class Shape:
    """The sizes of a model; the defaults are those of MusicGen's EnCodec of 32 kHz and T5-base.

    `card`, `codebooks`, `filters` and `dimension` are the codec's. With 2 `channels`, each one is
    coded separately. With `melody`, text and melody are prefix conditioning; without it, text is
    cross-attended.
    """

    dim: int
    layers: int
    heads: int
    ffn_dim: int
    card: int = 2048
    filters: int = 64
    dimension: int = 128
    text_dim: int = 768
    text_layers: int = 12
    text_heads: int = 12
    text_ffn_dim: int = 3072
    text_vocabulary: int = 32128
    codebooks: int = 4
    channels: int = 1
    melody: bool = False

    @property
    def text_head_dim(self) -> int:
        return self.text_dim // self.text_heads

    @property
    def delays(self) -> tuple[int, ...]:
        """The delay of each codebook of the LM, which has the codec's codebooks per channel."""
        return tuple(book for book in range(self.codebooks) for _ in range(self.channels))


SMALL = Shape(dim=1024, layers=24, heads=16, ffn_dim=4096)
MEDIUM = Shape(dim=1536, layers=48, heads=24, ffn_dim=6144)
LARGE = Shape(dim=2048, layers=48, heads=32, ffn_dim=8192)

SHAPES = {
    # Of no checkpoint: for tests.
    "tiny": Shape(
        dim=64, layers=2, heads=4, ffn_dim=128, card=64, filters=4, dimension=16,
        text_dim=32, text_layers=2, text_heads=2, text_ffn_dim=64, text_vocabulary=64,
    ),
    # The sizes of the model that ships, which itself takes its text as a prefix.
    "mini": Shape(
        dim=256, layers=12, heads=4, ffn_dim=1024, card=1024, filters=16, dimension=64,
        text_dim=192, text_layers=2, text_heads=4, text_ffn_dim=768, text_vocabulary=4096,
    ),
    "small": SMALL,
    "medium": MEDIUM,
    "large": LARGE,
    "melody": replace(MEDIUM, melody=True),
    "melody-large": replace(LARGE, melody=True),
    "stereo-small": replace(SMALL, channels=2),
    "stereo-medium": replace(MEDIUM, channels=2),
    "stereo-large": replace(LARGE, channels=2),
    "stereo-melody": replace(MEDIUM, channels=2, melody=True),
    "stereo-melody-large": replace(LARGE, channels=2, melody=True),
}  # fmt: skip


def shape_of(name: str) -> Shape:
    """Return the shape of a name.

    Raises:
        InputError: If the name is unknown; the message lists the names.
    """
    if name not in SHAPES:
        raise InputError("shape", name, "use one of " + ", ".join(SHAPES))
    return SHAPES[name]
