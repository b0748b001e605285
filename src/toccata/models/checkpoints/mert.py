"""Reader of MERT's layout, which is that of transformers' HuBERT: config.json with weights.

Its names of tensors and settings are used only here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from toccata.conditioners.hubert import HubertConfig
from toccata.models.checkpoints.bin_files import TensorsOf, read_bin
from toccata.models.checkpoints.config_fields import read_json
from toccata.models.checkpoints.tensors import LazyTensor, MappedFile, Rule, open_safetensors

CONFIG, WEIGHTS, BIN = "config.json", "model.safetensors", "pytorch_model.bin"

POSITIONS = "encoder.pos_conv_embed.conv."
WEIGHT_NORM = ("parametrizations.weight.original0", "parametrizations.weight.original1")
OLD_WEIGHT_NORM = ("weight_g", "weight_v")
EXTRA = r"masked_spec_embed|final_proj\..*|label_embs_concat"

# The settings that the module supports; a checkpoint with others must not load without an error.
COMPUTED = {
    "feature_extractor_cqt": False, "deepnorm": False, "attention_relax": -1.0,
    "do_stable_layer_norm": False, "feat_extract_norm": "group", "feat_proj_layer_norm": True,
    "feat_extract_activation": "gelu", "hidden_act": "gelu", "conv_bias": False,
    "conv_pos_batch_norm": False,
}  # fmt: skip


def read(folder: Path) -> tuple[HubertConfig, dict[str, LazyTensor]]:
    """Read the configuration and the tensors in a folder.

    Raises:
        CheckpointError: If a file is missing or damaged, or a setting is not supported.
    """
    cfg = read_json(folder / CONFIG)
    for key, value in COMPUTED.items():
        cfg.expect(key, value)
    config = cfg.make(
        HubertConfig,
        dim=cfg.get("hidden_size", int),
        layers=cfg.get("num_hidden_layers", int),
        heads=cfg.get("num_attention_heads", int),
        ffn_dim=cfg.get("intermediate_size", int),
        conv_dims=cfg.ints("conv_dim"),
        conv_kernels=cfg.ints("conv_kernel"),
        conv_strides=cfg.ints("conv_stride"),
        position_kernel=cfg.get("num_conv_pos_embeddings", int),
        position_groups=cfg.get("num_conv_pos_embedding_groups", int),
        norm_eps=cfg.get("layer_norm_eps", float),
    )
    return config, _tensors(folder)


def rules(found: Mapping[str, LazyTensor], ours: str, theirs: str) -> tuple[Rule, ...]:
    """Return the rules that map MERT's tensors to ours.

    Args:
        found: The tensors of the file.
        ours: A prefix of our names.
        theirs: A prefix of the names in the file.
    """
    spelling = next((s for s in (WEIGHT_NORM, OLD_WEIGHT_NORM)
                     if f"{theirs}{POSITIONS}{s[0]}" in found), WEIGHT_NORM)  # fmt: skip
    normed = tuple(f"{theirs}{POSITIONS}{name}" for name in spelling)
    return (
        Rule(rf"{ours}model\.{re.escape(POSITIONS)}weight", normed, _unnormed),
        Rule(rf"{ours}model\.(.+)", (rf"{theirs}\1",)),
    )


def _unnormed(parts: Sequence[Tensor]) -> Tensor:
    """Compute the plain weight, whose norm is over all axes but the kernel's positions."""
    gain, direction = parts
    size = torch.linalg.vector_norm(direction, dim=(0, 1), keepdim=True)
    plain: Tensor = direction * (gain / size)
    return plain


def _tensors(folder: Path) -> dict[str, LazyTensor]:
    if (folder / WEIGHTS).exists() or not (folder / BIN).exists():
        return open_safetensors(folder / WEIGHTS)
    return MappedFile(folder / BIN, lambda file: TensorsOf(read_bin(file))).tensors()
