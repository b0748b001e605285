"""A digest of all that the codes of a file depend on: the codec and the options."""

from __future__ import annotations

import hashlib
import json
from importlib.util import find_spec

import torch
from torch import nn

from toccata.codecs.base import Codec
from toccata.codecs.encodec import Encodec
from toccata.finetuning.dataset.dataset_options import FolderOptions
from toccata.models.model import Model

FORMAT = 1  # to be raised whenever codes, tags or their layout change
# Captions, what is held out and the seed change no code.
_OPTIONS = ("segment_s", "hop_s", "shortest_s", "devocalise", "auto_tags")


def identity(model: Model, options: FolderOptions) -> str:
    """The digest of a model's codec and melody, and of the options that change codes."""
    chroma = model.chroma
    parts = {
        "format": FORMAT,
        "codec": codec_digest(model.codec),
        "melody": repr(chroma),
        # Without demucs a melody keeps its drums and bass.
        "stems": chroma is not None and chroma.stems and find_spec("demucs") is not None,
        **{name: getattr(options, name) for name in _OPTIONS},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def codec_digest(codec: Codec) -> str:
    """A digest of a codec's kind, configuration and weights."""
    numbers = (codec.sample_rate_hz, codec.channels, codec.codebooks, codec.card, codec.hop)
    digest = hashlib.sha256(f"{type(codec).__name__} {numbers}".encode())
    if isinstance(codec, nn.Module):
        for part in codec.modules():
            if isinstance(part, Encodec):
                digest.update(repr(part.cfg).encode())
        for name, weight in codec.state_dict().items():
            digest.update(name.encode())
            digest.update(weight.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
