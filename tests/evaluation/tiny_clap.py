"""A CLAP with random weights, in the folder layout of the published ones. It hears 2 s at once."""

from __future__ import annotations

from pathlib import Path

import torch

WINDOW_S = 2
WIDTH = 12
TEXT = {
    "vocab_size": 261, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 16, "max_position_embeddings": 90, "projection_dim": WIDTH,
}  # fmt: skip
AUDIO = {
    "hidden_size": 32, "patch_embeds_hidden_size": 8, "depths": [1, 1, 1],
    "num_attention_heads": [1, 1, 1], "num_classes": 5, "projection_dim": WIDTH,
}  # fmt: skip


def save(folder: Path, *, fused: bool = False) -> Path:
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import (
        ClapConfig,
        ClapFeatureExtractor,
        ClapModel,
        ClapProcessor,
        RobertaTokenizer,
    )

    torch.manual_seed(0)
    audio = {**AUDIO, "enable_fusion": fused}
    config = ClapConfig(text_config=TEXT, audio_config=audio, projection_dim=WIDTH)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    words = {word: index for index, word in enumerate([*special, *sorted(ByteLevel.alphabet())])}
    extractor = ClapFeatureExtractor(
        max_length_s=WINDOW_S, truncation="rand_trunc", padding="repeatpad"
    )
    ClapProcessor(extractor, RobertaTokenizer(vocab=words, merges=[])).save_pretrained(folder)
    ClapModel(config).save_pretrained(folder)
    return folder
