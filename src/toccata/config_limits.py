"""Limits of the numbers in a model configuration.

The limits are far from every published model. Within them a bare module is built in seconds, and
its shapes are compared with those of the file before any memory is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from toccata.errors import CheckpointError

MAX_ITEMS = 64
_LAYERS, _WIDTH, _KERNEL, _RATE_HZ = (1, 512), (1, 2**16), (1, 1024), (1000, 384_000)

# By the names of the fields, which mean the same in every configuration.
LIMITS: Mapping[str, tuple[float, float]] = {
    # decoder, text encoder, style encoder
    "dim": _WIDTH,
    "layers": _LAYERS,
    "heads": (1, 1024),
    "ffn_dim": (1, 2**20),
    "card": _WIDTH,
    "codebooks": (1, MAX_ITEMS),
    "delays": (0, 1024),
    "cond_dims": _WIDTH,
    "buckets": (2, 2**24),
    "max_words": (1, 4096),
    "tempo_classes": (0, 4096),
    "every": (1, 4096),
    "length_s": (0.1, 600),
    # T5
    "vocab_size": (1, 2**20),
    "d_model": _WIDTH,
    "d_kv": _WIDTH,
    "d_ff": (1, 2**20),
    "num_layers": _LAYERS,
    "num_heads": (1, 1024),
    "relative_attention_num_buckets": (4, 4096),
    "relative_attention_max_distance": (4, 2**20),
    "layer_norm_epsilon": (0, 1),
    # HuBERT
    "conv_dims": _WIDTH,
    "conv_kernels": _KERNEL,
    "conv_strides": _KERNEL,
    "position_kernel": _KERNEL,
    "position_groups": (1, 1024),
    "norm_eps": (0, 1),
    # codec
    "sample_rate_hz": _RATE_HZ,
    "channels": (1, 2),
    "filters": (1, 4096),
    "dimension": _WIDTH,
    "ratios": (1, 64),
    "kernel": _KERNEL,
    "residual_kernel": _KERNEL,
    "last_kernel": _KERNEL,
    "dilation_base": (1, 16),
    "residual_layers": (0, 16),
    "lstm_layers": (1, 16),
    "compress": (1, 64),
    # melody: 12 pitch classes, in windows of audio
    "bins": (12, 12),
    "window": (64, 2**16),
    "hop": (16, 2**16),
    "frames": (1, 10_000),
    # sampling, as requests may have it
    "temperature": (0, 100),
    "top_k": (0, 65_536),
    "top_p": (0, 1),
    "cfg": (0, 100),
    "cfg_beta": (0, 100),
    # all of a model
    "segment_s": (0.1, 600),
    "conditions": (1e-3, 1e3),
    "inverse_temperature": (1e-3, 1e3),
}


def check_limits(config: Any) -> None:
    """Raises CheckpointError for the first field of a dataclass that is outside its limits."""
    for name in (field.name for field in fields(config)):
        if name not in LIMITS:
            continue
        low, high = LIMITS[name]
        values = list(_values(getattr(config, name)))
        if len(values) > MAX_ITEMS:
            raise CheckpointError(f"{name} has {len(values)} items, but {MAX_ITEMS} at most")
        for value in values:
            if not isinstance(value, int | float) or not low <= value <= high:
                raise CheckpointError(
                    f"{name} is {value!r}, but only {low:g} to {high:g} is supported"
                )


def _values(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple):
        yield from value
    elif isinstance(value, Mapping):
        yield from value.values()
    else:
        yield value
