"""toccata's own layout: one folder with config.json and model.safetensors.

A model with a T5 text encoder has a tokenizer.json beside them; the encoder of `mini` needs none.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from toccata.codecs.encodec import EncodecConfig
from toccata.codecs.stereo import StereoCodec
from toccata.conditioners.base import TextEncoder
from toccata.conditioners.chroma import ChromaConfig
from toccata.conditioners.style import StyleConfig, StyleEncoder
from toccata.conditioners.t5 import T5Shape, T5TextEncoder
from toccata.conditioners.word_encoder import WordsConfig, WordsTextEncoder
from toccata.decoder.condition_scale import ConditionScale
from toccata.decoder.decoder import LMConfig
from toccata.decoder.quantized import is_compressed
from toccata.errors import CheckpointError, InputError
from toccata.models.checkpoints.assembly import Checkpoint, LoadStyle, LoadText, mono_codec
from toccata.models.checkpoints.config_fields import Fields, read_json
from toccata.models.checkpoints.tensors import Part, Rule, build, open_safetensors, without_prefix
from toccata.models.model import Model
from toccata.models.sampling_params import SamplingParams
from toccata.whole_files import write_errors

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
FORMAT, VERSION = "toccata", 1
CONDITION_SCALE = "condition_scale"  # older folders do not have it
OLD_CONDITION_SCALE = "emphasis"
AS_IT_IS = (Rule(r"(.+)", (r"\1",)),)
# T5 ties these two tensors; one of them is stored.
T5_RULES = (Rule(r"model\.encoder\.embed_tokens\.weight", ("model.shared.weight",)), *AS_IT_IS)


def matches(folder: Path) -> bool:
    """Return whether a folder has this layout."""
    config = folder / CONFIG
    return config.exists() and read_json(config).values.get("format") == FORMAT


def read(folder: Path) -> Checkpoint:
    """Read the configuration of a checkpoint; its tensors are read later.

    Raises:
        CheckpointError: If a file is missing or damaged.
    """
    cfg = read_json(folder / CONFIG)
    cfg.expect("version", VERSION)
    found = open_safetensors(folder / WEIGHTS)
    lm, codec, text = (
        Part(folder / WEIGHTS, without_prefix(found, f"{part}."), AS_IT_IS)
        for part in ("lm", "codec", "text")
    )
    lm_config = cfg.section("lm").record(LMConfig)
    has_melody = cfg.values.get("chroma") is not None
    has_style = cfg.values.get("style") is not None
    style = Part(folder / WEIGHTS, without_prefix(found, "style."), AS_IT_IS)
    return cfg.make(
        Checkpoint,
        name=cfg.get("name", str),
        lm_config=lm_config,
        lm=lm,
        codec_config=cfg.section("codec").record(EncodecConfig),
        codec=codec,
        stereo=cfg.get("stereo", bool),
        load_text=_text_loader(cfg.section("text"), text),
        chroma=cfg.section("chroma").record(ChromaConfig) if has_melody else None,
        load_style=_style_loader(cfg.section("style"), style) if has_style else None,
        segment_s=cfg.get("segment_s", float),
        defaults=cfg.section("defaults").record(SamplingParams),
        licence=cfg.get("licence", str),
        condition_scale=_condition_scale(cfg, lm_config),
    )


def _condition_scale(cfg: Fields, lm: LMConfig) -> ConditionScale:
    if OLD_CONDITION_SCALE in cfg.values:  # without an error its factors would be ignored
        raise CheckpointError(
            f"{cfg.file}: {OLD_CONDITION_SCALE} is now {CONDITION_SCALE}, and its sharpness is "
            "inverse_temperature; rename both in the file"
        )
    if CONDITION_SCALE not in cfg.values:
        return ConditionScale()
    scale = cfg.section(CONDITION_SCALE).record(ConditionScale)
    cfg.make(scale.check, config=lm)
    return scale


def _text_loader(cfg: Fields, part: Part) -> LoadText:
    kind, shape = cfg.get("kind", str), cfg.section("shape")

    def words(device: torch.device, dtype: torch.dtype) -> TextEncoder:
        config = shape.record(WordsConfig)
        return build(lambda: WordsTextEncoder(config), part, device, dtype)

    def t5(device: torch.device, dtype: torch.dtype) -> TextEncoder:
        from toccata.conditioners.t5 import read_tokenizer

        tokenizer = read_tokenizer(cfg.file.parent / TOKENIZER)
        config = shape.record(T5Shape)
        tied = Part(part.file, part.found, T5_RULES)
        return build(lambda: T5TextEncoder(config, tokenizer), tied, device, dtype)

    loaders: dict[str, LoadText] = {"words": words, "t5": t5}
    if kind not in loaders:
        raise CheckpointError(f"{cfg.file}: text.kind is {kind!r}; use {' or '.join(loaders)}")
    return loaders[kind]


def _style_loader(cfg: Fields, part: Part) -> LoadStyle:
    config = cfg.record(StyleConfig)
    return lambda device: build(lambda: StyleEncoder(config), part, device, torch.float32)


def write(model: Model, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Write a model into a folder.

    Args:
        model: A model in fp32, bf16 or fp16.
        folder: A new or empty folder. If writing fails, no file is left in it.
        dtype: The dtype of all tensors; None keeps the dtype of each.

    Raises:
        CheckpointError: If the folder is not empty or cannot be written, or the text encoder is
            neither T5 nor `mini`'s.
        InputError: If the model's matrices are quantised.
    """
    if is_compressed(model.lm):
        cure = "load the model in fp32, bf16 or fp16 to write it"
        raise InputError("precision", None, cure, "is int8 or int4, which cannot be written")
    if folder.exists() and any(folder.iterdir()):
        raise CheckpointError(f"{folder}: is not empty; name a new folder")
    is_new = not folder.exists()
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            write_files(model, folder, dtype)
        except BaseException:
            for name in (CONFIG, WEIGHTS, TOKENIZER):
                (folder / name).unlink(missing_ok=True)
            if is_new:
                folder.rmdir()
            raise


def write_files(model: Model, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Write a model's files into a folder that has none of them; a failure leaves partial files."""
    from safetensors.torch import save_file

    text, config = _text(model.text_encoder, folder)
    parts = {"lm": model.lm, "codec": mono_codec(model.codec), "text": text}
    parts |= {} if model.style is None else {"style": model.style}
    save_file(_tensors(parts, dtype), folder / WEIGHTS, metadata={"format": FORMAT})
    (folder / CONFIG).write_text(json.dumps(_config(model, config), indent=2) + "\n")


def _config(model: Model, text: dict[str, Any]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": model.name,
        "licence": model.licence,
        "segment_s": model.segment_s,
        "stereo": isinstance(model.codec, StereoCodec),
        "defaults": asdict(model.defaults),
        "lm": asdict(model.lm.config),
        "codec": asdict(mono_codec(model.codec).cfg),
        "chroma": None if model.chroma is None else asdict(model.chroma),
        "style": None if model.style is None else asdict(model.style.config),
        "text": text,
        CONDITION_SCALE: asdict(model.condition_scale),
    }


def _text(encoder: TextEncoder, folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    if isinstance(encoder, WordsTextEncoder):
        return encoder, {"kind": "words", "shape": asdict(encoder.config)}
    if isinstance(encoder, T5TextEncoder):
        encoder.tokenizer.save(str(folder / TOKENIZER))
        return encoder, {"kind": "t5", "shape": asdict(encoder.shape)}
    raise CheckpointError(
        f"{folder}: a {type(encoder).__name__} cannot be written, only T5 and mini's text encoder"
    )


def _tensors(parts: dict[str, nn.Module], dtype: torch.dtype | None) -> dict[str, Tensor]:
    """Collect all tensors; of tensors that share memory, one is stored."""
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    for part, module in parts.items():
        for name, tensor in module.state_dict().items():
            if tensor.data_ptr() not in seen:
                seen.add(tensor.data_ptr())
                tensors[f"{part}.{name}"] = tensor.to("cpu", dtype or tensor.dtype).contiguous()
    return tensors
