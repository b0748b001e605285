"""T5's encoder (Raffel et al. 2020) as a text encoder, from transformers and nothing else of it.

It runs in float32 (or bfloat16): float16 overflows in its feed-forward layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from toccata.conditioners.base import is_blank
from toccata.config_limits import check_limits
from toccata.errors import CheckpointError

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class T5Shape:
    """The fields of T5's configuration that shape its encoder, by T5's own names; t5-base's."""

    vocab_size: int = 32128
    d_model: int = 768
    d_kv: int = 64
    d_ff: int = 3072
    num_layers: int = 12
    num_heads: int = 12
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    layer_norm_epsilon: float = 1e-6
    feed_forward_proj: str = "relu"

    def __post_init__(self) -> None:
        """Raises CheckpointError for numbers that are not supported."""
        check_limits(self)


class T5TextEncoder(nn.Module):
    """Prompts to T5's last hidden states. `tokenizer` is what a tokenizer.json holds."""

    def __init__(self, shape: T5Shape, tokenizer: Tokenizer) -> None:
        from transformers import T5Config, T5EncoderModel

        super().__init__()
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self.shape = shape
        self.tokenizer = tokenizer
        config = T5Config(**vars(shape), use_cache=False, dropout_rate=0.0)
        self.model = T5EncoderModel(config)

    @torch.inference_mode()
    def encode(self, prompt: str) -> Tensor:
        """[L, d_model] in the encoder's dtype, the end token included; zeros [1, d_model]."""
        weight: Tensor = self.model.shared.weight
        if is_blank(prompt):
            return weight.new_zeros(1, self.shape.d_model)
        ids = torch.tensor([self.tokenizer.encode(prompt).ids], device=weight.device)
        hidden: Tensor = self.model(input_ids=ids).last_hidden_state[0]
        return hidden


def read_tokenizer(file: Path) -> Tokenizer:
    """Raises CheckpointError if `file` is not a tokenizer.json."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(file.read_text(encoding="utf-8"))
    except Exception as error:
        raise CheckpointError(
            f"{file}: cannot be read as a tokenizer ({error}); run `toccata models remove NAME`, "
            "then `toccata models pull NAME`"
        ) from error
