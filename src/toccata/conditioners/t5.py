"""T5's encoder (Raffel et al. 2020) as a text encoder; the module is that of transformers.

It runs in float32 or bfloat16: float16 overflows in its feed-forward layers.
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
    """The shape of T5's encoder, by the names of T5's configuration; the defaults are t5-base's.

    Raises:
        CheckpointError: If a number is out of range.
    """

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
        check_limits(self)


class T5TextEncoder(nn.Module):
    """Encodes prompts as T5's last hidden states.

    Args:
        shape: The shape of the encoder.
        tokenizer: The tokenizer, as `read_tokenizer` returns it.
    """

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
        """Encode one prompt.

        Returns:
            [L, d_model] in the encoder's dtype, with the end token; zeros [1, d_model] for an empty
            prompt.
        """
        weight: Tensor = self.model.shared.weight
        if is_blank(prompt):
            return weight.new_zeros(1, self.shape.d_model)
        ids = torch.tensor([self.tokenizer.encode(prompt).ids], device=weight.device)
        hidden: Tensor = self.model(input_ids=ids).last_hidden_state[0]
        return hidden


def read_tokenizer(file: Path) -> Tokenizer:
    """Read a tokenizer.json.

    Raises:
        CheckpointError: If the file cannot be read as a tokenizer.
    """
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(file.read_text(encoding="utf-8"))
    except Exception as error:
        raise CheckpointError(
            f"{file}: cannot be read as a tokenizer ({error}); run `toccata models remove NAME`, "
            "then `toccata models pull NAME`"
        ) from error
