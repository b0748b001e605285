"""Reader of transformers' layout: config.json and model.safetensors, in one file or in shards.

Its names of tensors and settings are used only here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from toccata.codecs.encodec import EncodecConfig
from toccata.codecs.seanet import SeanetConfig
from toccata.conditioners.base import TextEncoder
from toccata.conditioners.chroma import ChromaConfig
from toccata.conditioners.t5 import T5Shape, T5TextEncoder, read_tokenizer
from toccata.decoder.decoder import LMConfig
from toccata.models.checkpoints.assembly import Checkpoint, LoadText
from toccata.models.checkpoints.config_fields import Fields, read_json, shard_files
from toccata.models.checkpoints.tensors import (
    LazyTensor,
    Part,
    Rule,
    build,
    fuse_weight_norms,
    open_safetensors,
    renamed,
    stacked,
    without_prefix,
)
from toccata.models.model import MELODY, TEXT
from toccata.models.registry import KNOWN

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
TOKENIZER = "tokenizer.json"
TEXT_KIND, MELODY_KIND = "musicgen", "musicgen_melody"
CODEC_PREFIX, TEXT_PREFIX = "audio_encoder.", "text_encoder."


def _rows(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(parts))


DECODER = "decoder.model.decoder."
LAYER = DECODER + r"layers.\1."
QKV = tuple(LAYER + f"self_attn.{part}_proj.weight" for part in "qkv")
KV = tuple(LAYER + f"encoder_attn.{part}_proj.weight" for part in "kv")
LM_RULES = (
    Rule(r"embed\.(\d+)\.weight", (DECODER + r"embed_tokens.\1.weight",)),
    Rule(r"heads\.(\d+)\.weight", (r"decoder.lm_heads.\1.weight",)),
    Rule(r"out_norm\.(weight|bias)", (DECODER + r"layer_norm.\1",)),
    Rule(r"layers\.(\d+)\.self_attn\.qkv\.weight", QKV, _rows),
    Rule(r"layers\.(\d+)\.self_attn\.out\.weight", (LAYER + "self_attn.out_proj.weight",)),
    Rule(r"layers\.(\d+)\.cross_attn\.q\.weight", (LAYER + "encoder_attn.q_proj.weight",)),
    Rule(r"layers\.(\d+)\.cross_attn\.kv\.weight", KV, _rows),
    Rule(r"layers\.(\d+)\.cross_attn\.out\.weight", (LAYER + "encoder_attn.out_proj.weight",)),
    Rule(r"layers\.(\d+)\.ffn_in\.weight", (LAYER + "fc1.weight",)),
    Rule(r"layers\.(\d+)\.ffn_out\.weight", (LAYER + "fc2.weight",)),
    Rule(r"layers\.(\d+)\.norm_self\.(weight|bias)", (LAYER + r"self_attn_layer_norm.\2",)),
    Rule(r"layers\.(\d+)\.norm_cross\.(weight|bias)", (LAYER + r"encoder_attn_layer_norm.\2",)),
    Rule(r"layers\.(\d+)\.norm_ffn\.(weight|bias)", (LAYER + r"final_layer_norm.\2",)),
    Rule(rf"projections\.{TEXT}\.(weight|bias)", (r"enc_to_dec_proj.\1",)),
    Rule(rf"projections\.{MELODY}\.(weight|bias)", (r"audio_enc_to_dec_proj.\1",)),
)
# Early releases stored the table of positions, which is computed here.
LM_EXTRA = r"decoder\.model\.decoder\.embed_positions\.weights"

CODEC_RULES = (Rule(r".+", (r"\g<0>",)),)
CODEC_EXTRA = r"quantizer\.layers\.\d+\.codebook\.\w+"

T5_SHARED, T5_TIED = "shared.weight", "encoder.embed_tokens.weight"
T5_EXTRA = r"shared\.weight|encoder\.embed_tokens\.weight|decoder\..*|lm_head\.weight"

# The settings that the modules support; a checkpoint with others must not load without an error.
LM_COMPUTED = {
    "activation_function": "gelu", "scale_embedding": False, "tie_word_embeddings": False,
    "cross_attention_hidden_size": None,
}  # fmt: skip
CODEC_COMPUTED = {
    "model_type": "encodec", "norm_type": "weight_norm", "use_causal_conv": False,
    "normalize": False, "chunk_length_s": None,
}  # fmt: skip
# All published models share one codec, which audiocraft trained with zero padding. Its conversion
# did not set `pad_mode`, so that its files have transformers' default, reflect. The weights are the
# same, so the codes must be the same too.
CODEC_REPOSITORY, CODEC_PAD_MODE = "facebook/encodec_32khz", "constant"
REPOSITORIES = {CODEC_REPOSITORY, *(known.hub_id for known in KNOWN.values() if known.hub_id)}
# transformers' defaults of fields, where they are not what the modules here support.
CODEC_ABSENT = {"use_causal_conv": True, "use_conv_shortcut": True}


def matches(folder: Path) -> bool:
    config = folder / CONFIG
    if not config.exists() or not any((folder / name).exists() for name in (WEIGHTS, INDEX)):
        return False
    return read_json(config).values.get("model_type") in (TEXT_KIND, MELODY_KIND)


def read(folder: Path, name: str) -> Checkpoint:
    """Read the configuration of a checkpoint with its T5 and codec.

    Args:
        folder: The folder of the checkpoint.
        name: The name of the model.

    Raises:
        CheckpointError: If a file is missing or damaged, or a setting is not supported.
    """
    cfg = read_json(folder / CONFIG)
    file, found = _weights(folder)
    decoder, text = cfg.section("decoder"), cfg.section("text_encoder")
    has_melody = cfg.get("model_type", str) == MELODY_KIND
    codec_config = _codec_config(cfg.section("audio_encoder"), folder)
    chroma_bins = {MELODY: cfg.get("num_chroma", int)} if has_melody else {}
    return cfg.make(
        Checkpoint,
        name=name,
        lm_config=_lm_config(decoder, {**chroma_bins, TEXT: text.get("d_model", int)}),
        lm=Part(file, _of_lm(found), LM_RULES, LM_EXTRA),
        codec_config=codec_config,
        codec=_codec(file, without_prefix(found, CODEC_PREFIX), codec_config),
        stereo=_is_stereo(decoder),
        load_text=_text_loader(text, file, without_prefix(found, TEXT_PREFIX)),
        chroma=_chroma_config(cfg, codec_config.sample_rate_hz) if has_melody else None,
    )


def read_codec(folder: Path) -> tuple[EncodecConfig, Part]:
    """Read a separate codec, such as facebook/encodec_32khz.

    Raises:
        CheckpointError: If a file is missing or damaged, or a setting is not supported.
    """
    config = _codec_config(read_json(folder / CONFIG), folder)
    return config, _codec(*_weights(folder), config)


def read_t5(folder: Path) -> LoadText:
    """Read the encoder of a separate T5, such as t5-base.

    Raises:
        CheckpointError: If a file is missing or damaged, or a setting is not supported.
    """
    return _text_loader(read_json(folder / CONFIG), *_weights(folder))


def _weights(folder: Path) -> tuple[Path, dict[str, LazyTensor]]:
    """Open all tensors, and return them with the file that errors name."""
    index = folder / INDEX
    if (folder / WEIGHTS).exists() or not index.exists():
        return folder / WEIGHTS, open_safetensors(folder / WEIGHTS)
    found: dict[str, LazyTensor] = {}
    for shard in shard_files(index):
        found |= open_safetensors(shard)
    return index, found


def _of_lm(found: Mapping[str, LazyTensor]) -> dict[str, LazyTensor]:
    others = (CODEC_PREFIX, TEXT_PREFIX)
    return {name: tensor for name, tensor in found.items() if not name.startswith(others)}


def _lm_config(decoder: Fields, cond_dims: Mapping[str, int]) -> LMConfig:
    for key, value in LM_COMPUTED.items():
        decoder.expect(key, value)
    codebooks = decoder.size("num_codebooks")
    sides = 2 if _is_stereo(decoder) else 1
    return decoder.make(
        LMConfig,
        dim=decoder.get("hidden_size", int),
        layers=decoder.get("num_hidden_layers", int),
        heads=decoder.get("num_attention_heads", int),
        ffn_dim=decoder.get("ffn_dim", int),
        card=decoder.get("vocab_size", int),
        codebooks=codebooks,
        cross_attention=MELODY not in cond_dims,
        delays=tuple(book // sides for book in range(codebooks)),
        cond_dims=cond_dims,
    )


def _is_stereo(decoder: Fields) -> bool:
    """Return the number of channels; releases before stereo do not have it."""
    return decoder.get("audio_channels", int, 1) == 2


def _chroma_config(cfg: Fields, sample_rate_hz: int) -> ChromaConfig:
    frames = cfg.get("chroma_length", int)
    bins = cfg.get("num_chroma", int)
    return cfg.make(ChromaConfig, sample_rate_hz=sample_rate_hz, bins=bins, frames=frames)


def _codec_config(stored: Fields, folder: Path) -> EncodecConfig:
    cfg = Fields(stored.file, {**CODEC_ABSENT, **stored.values})
    for key, value in CODEC_COMPUTED.items():
        cfg.expect(key, value)
    dimension = cfg.get("hidden_size", int)
    cfg.expect("codebook_dim", dimension)
    seanet = cfg.make(
        SeanetConfig,
        channels=cfg.get("audio_channels", int),
        filters=cfg.get("num_filters", int),
        dimension=dimension,
        ratios=cfg.ints("upsampling_ratios"),
        kernel=cfg.get("kernel_size", int),
        residual_kernel=cfg.get("residual_kernel_size", int),
        last_kernel=cfg.get("last_kernel_size", int),
        dilation_base=cfg.get("dilation_growth_rate", int),
        residual_layers=cfg.get("num_residual_layers", int),
        lstm_layers=cfg.get("num_lstm_layers", int),
        compress=cfg.get("compress", int),
        pad_mode=CODEC_PAD_MODE if is_published(cfg, folder) else cfg.get("pad_mode", str),
        true_skip=not cfg.get("use_conv_shortcut", bool),
    )
    sample_rate_hz, card = cfg.get("sampling_rate", int), cfg.get("codebook_size", int)
    bits_per_s = -(-sample_rate_hz // seanet.hop) * (card - 1).bit_length()
    codebooks = int(1000 * _highest_bandwidth(cfg) // max(bits_per_s, 1))
    return cfg.make(
        EncodecConfig, sample_rate_hz=sample_rate_hz, codebooks=codebooks, card=card, seanet=seanet
    )


def is_published(codec: Fields, folder: Path) -> bool:
    """Return whether a codec is the one of the published models.

    Either its configuration names it, or the folder is a published repository: a snapshot in the
    hub's cache, or a copy under the repository's name.
    """
    if codec.values.get("_name_or_path") == CODEC_REPOSITORY:
        return True
    parts = folder.resolve().parts
    cached = {part.removeprefix("models--").replace("--", "/", 1) for part in parts}
    return bool(REPOSITORIES & (cached | {f"facebook/{parts[-1]}"}))


def _highest_bandwidth(cfg: Fields) -> float:
    """Return the bandwidth in kbit/s, from which the number of codebooks follows."""
    bandwidths = cfg.get("target_bandwidths", list)
    return Fields(cfg.file, {"target_bandwidths": (bandwidths or [None])[-1]}).get(
        "target_bandwidths", float
    )


def _codec(file: Path, found: Mapping[str, LazyTensor], config: EncodecConfig) -> Part:
    plain = fuse_weight_norms(renamed(found, lambda name: name.replace(".conv.", ".")))
    books = [f"quantizer.layers.{k}.codebook.embed" for k in range(config.codebooks)]
    plain["quantizer.codebooks"] = stacked(file, plain, books)
    return Part(file, plain, CODEC_RULES, CODEC_EXTRA)


def _text_loader(cfg: Fields, file: Path, found: Mapping[str, LazyTensor]) -> LoadText:
    cfg.expect("model_type", "t5")
    shape = _t5_shape(cfg)
    # The two names are one tensor, of which a file stores either.
    embedding = T5_SHARED if T5_SHARED in found else T5_TIED
    rules = (
        Rule(r"model\.(shared|encoder\.embed_tokens)\.weight", (embedding,)),
        Rule(r"model\.(.+)", (r"\1",)),
    )

    def load(device: torch.device, dtype: torch.dtype) -> TextEncoder:
        tokenizer = read_tokenizer(cfg.file.parent / TOKENIZER)
        part = Part(file, found, rules, T5_EXTRA)
        return build(lambda: T5TextEncoder(shape, tokenizer), part, device, dtype)

    return load


def _t5_shape(cfg: Fields) -> T5Shape:
    """Read the shape of T5; fields that its first releases did not have get their values there."""
    later = {
        "relative_attention_num_buckets", "relative_attention_max_distance", "layer_norm_epsilon",
        "feed_forward_proj",
    }  # fmt: skip
    values: dict[str, Any] = {}
    for field in fields(T5Shape):
        kind = type(field.default)
        if field.name in later:
            values[field.name] = cfg.get(field.name, kind, field.default)
        else:
            values[field.name] = cfg.get(field.name, kind)
    return cfg.make(T5Shape, **values)
