"""Translate a decoder's embeddings and heads from the codes of one codec to those of another.

A code of the new codec begins as the mean of those that the old one gives the same frames (as
words of a new vocabulary do: Gee et al. 2022, "Fast vocabulary transfer for language model
compression"). A new codec then costs the LM some hundred steps instead of a new training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from recipes.mini.codec.train_codec import STATE, load_codec
from recipes.mini.composer.compose import compose
from recipes.mini.composer.render import Renderer
from toccata.codecs.encodec import Encodec
from toccata.errors import InputError
from toccata.models.loading import load_model

_EMBED, _HEAD = "lm.embed.{}.weight", "lm.heads.{}.weight"
_SONGS, _SONG_S, _FIRST_SEED = 96, 10.0, 600_000_000


def translated(weights: Mapping[str, Tensor], old: Encodec, new: Encodec) -> dict[str, Tensor]:
    """The weights of an LM of `old`'s codes as those of one of `new`'s.

    Raises InputError for codecs with other numbers of codes.
    """
    shape = tuple(new.quantizer.codebooks.shape[:2])
    if shape != (known := tuple(old.quantizer.codebooks.shape[:2])):
        raise InputError("codec", shape, f"the start has {known[0]} codebooks of {known[1]} codes")
    old_codes, new_codes = _codes_of_songs(old, new)
    return translate(weights, old_codes, new_codes, shape[1])


def translate(
    weights: Mapping[str, Tensor], old: Tensor, new: Tensor, card: int
) -> dict[str, Tensor]:
    """The same for codes [K, T] that both codecs give the same frames."""
    changed = dict(weights)
    for book, (before, after) in enumerate(zip(old, new, strict=True)):
        shares = met_shares(before, after, card)
        for name in (_EMBED.format(book), _HEAD.format(book)):
            changed[name] = torch.cat([shares @ weights[name][:card], weights[name][card:]])
    return changed


def met_shares(old: Tensor, new: Tensor, card: int) -> Tensor:
    """Codes [T] of the same frames by two codecs -> [card, card]: of each new code, how often it
    stands where each old one stood. A new code that is nowhere shares with all.
    """
    counts = torch.zeros(card * card).index_add_(0, new * card + old, torch.ones(len(old)))
    counts = counts.view(card, card)
    everywhere = counts.sum(0)
    counts = torch.where(counts.sum(1, keepdim=True) > 0, counts, everywhere)
    return counts / counts.sum(1, keepdim=True)


def codec_of(name: str) -> Encodec:
    """The codec of a codec's run, by its folder, or of a model by name or folder."""
    if (Path(name) / STATE).is_file():
        return load_codec(Path(name))
    codec = load_model(name, device="cpu", precision="fp32").codec
    if not isinstance(codec, Encodec):
        raise InputError("start_codec", name, "its codec is not of the kind that is trained here")
    return codec


@torch.inference_mode()
def _codes_of_songs(old: Encodec, new: Encodec) -> tuple[Tensor, Tensor]:
    """Of each codec [K, T], of the same songs."""
    renderer = Renderer()
    seeds = range(_FIRST_SEED, _FIRST_SEED + _SONGS)
    songs = [torch.from_numpy(renderer.render(compose(seed, _SONG_S))) for seed in seeds]
    old.compile_networks(half=False)
    new.compile_networks(half=False)
    return _codes(old, songs), _codes(new, songs)


def _codes(codec: Encodec, songs: Sequence[Tensor]) -> Tensor:
    return torch.cat([codec.encode(audio[None, None])[0] for audio in songs], -1)
