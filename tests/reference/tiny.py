"""Tiny models of transformers' own classes with random weights, saved as it saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import (
    EncodecConfig,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    MusicgenMelodyConfig,
    MusicgenMelodyDecoderConfig,
    MusicgenMelodyForConditionalGeneration,
    T5Config,
)
from transformers.utils import logging

CARD = 64
WORDS = ["<pad>", "</s>", "<unk>", "slow", "warm", "piano", "fast", "drums"]


def tokenizer() -> Tokenizer:
    made = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return made


def t5_config(**changes: Any) -> T5Config:
    shape = {"vocab_size": 16, "d_model": 24, "d_kv": 8, "d_ff": 32, "num_layers": 2}
    return T5Config(**{**shape, "num_heads": 2, **changes})


def codec_config(**changes: Any) -> EncodecConfig:
    """4 codebooks: 1.2 kbit/s at 50 Hz and 6 bits."""
    shape = {
        "sampling_rate": 32000, "upsampling_ratios": [8, 5, 4, 4], "num_filters": 4,
        "hidden_size": 8, "codebook_size": CARD, "target_bandwidths": [1.2],
        "use_causal_conv": False, "use_conv_shortcut": False,
    }  # fmt: skip
    return EncodecConfig(**{**shape, **changes})


def decoder_shape(stereo: bool) -> dict[str, Any]:
    return {
        "vocab_size": CARD, "hidden_size": 16, "num_hidden_layers": 2, "ffn_dim": 32,
        "num_attention_heads": 2, "num_codebooks": 8 if stereo else 4,
        "audio_channels": 2 if stereo else 1, "pad_token_id": CARD, "bos_token_id": CARD,
    }  # fmt: skip


def musicgen(stereo: bool = False) -> Any:
    config = MusicgenConfig(
        text_encoder=t5_config().to_dict(),
        audio_encoder=codec_config().to_dict(),
        decoder=MusicgenDecoderConfig(**decoder_shape(stereo)).to_dict(),
    )
    return randomized(MusicgenForConditionalGeneration(config))


def musicgen_melody() -> Any:
    config = MusicgenMelodyConfig(
        text_encoder=t5_config().to_dict(),
        audio_encoder=codec_config().to_dict(),
        decoder=MusicgenMelodyDecoderConfig(**decoder_shape(False)).to_dict(),
        chroma_length=20,
    )
    return randomized(MusicgenMelodyForConditionalGeneration(config))


def randomized(model: Any) -> Any:
    """Weights far from those that models start with: ones and zeros would hide mistakes."""
    generator = torch.Generator().manual_seed(3)
    for name, weight in (*model.named_parameters(), *model.named_buffers()):
        if weight.is_floating_point() and not name.endswith(("inited", "embed_positions.weights")):
            fan_in = weight[0].numel() if weight.dim() > 1 else 4
            weight.data = torch.randn(weight.shape, generator=generator) / fan_in**0.5
    return model.eval()


def save(model: Any, folder: Path, **options: Any) -> Path:
    """As `save_pretrained` does, with the tokenizer's file beside it."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model.save_pretrained(folder, **options)
    tokenizer().save(str(folder / "tokenizer.json"))
    return folder
