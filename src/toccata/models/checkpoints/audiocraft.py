"""Reader of audiocraft's layout: state_dict.bin and compression_state_dict.bin.

Its names of tensors and settings are used only here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from toccata.codecs.encodec import EncodecConfig
from toccata.codecs.seanet import SeanetConfig
from toccata.conditioners.base import TextEncoder
from toccata.conditioners.chroma import ChromaConfig
from toccata.conditioners.hubert import HubertConfig
from toccata.conditioners.style import StyleConfig, StyleEncoder
from toccata.decoder.decoder import LMConfig
from toccata.errors import CheckpointError
from toccata.models import hub
from toccata.models.checkpoints import mert as layout_mert
from toccata.models.checkpoints.assembly import Checkpoint, LoadStyle, LoadText
from toccata.models.checkpoints.bin_files import TensorsOf, plain_config, read_bin
from toccata.models.checkpoints.config_fields import Fields
from toccata.models.checkpoints.tensors import (
    LazyTensor,
    MappedFile,
    Part,
    Rule,
    build,
    fuse_weight_norms,
    renamed,
    stacked,
    without_prefix,
)
from toccata.models.model import MELODY, TEXT
from toccata.models.sampling_params import SamplingParams

LM_FILE, CODEC_FILE = "state_dict.bin", "compression_state_dict.bin"

LAYER = r"transformer.layers.\1."
LM_RULES = (
    Rule(r"embed\.(\d+)\.weight", (r"emb.\1.weight",)),
    Rule(r"heads\.(\d+)\.weight", (r"linears.\1.weight",)),
    Rule(r"out_norm\.(weight|bias)", (r"out_norm.\1",)),
    Rule(r"layers\.(\d+)\.self_attn\.qkv\.weight", (LAYER + "self_attn.in_proj_weight",)),
    Rule(r"layers\.(\d+)\.self_attn\.out\.weight", (LAYER + "self_attn.out_proj.weight",)),
    Rule(
        r"layers\.(\d+)\.cross_attn\.q\.weight",
        (LAYER + "cross_attention.in_proj_weight",),
        lambda parts: _thirds(parts[0], 0, 1),
    ),
    Rule(
        r"layers\.(\d+)\.cross_attn\.kv\.weight",
        (LAYER + "cross_attention.in_proj_weight",),
        lambda parts: _thirds(parts[0], 1, 3),
    ),
    Rule(r"layers\.(\d+)\.cross_attn\.out\.weight", (LAYER + "cross_attention.out_proj.weight",)),
    Rule(r"layers\.(\d+)\.ffn_in\.weight", (LAYER + "linear1.weight",)),
    Rule(r"layers\.(\d+)\.ffn_out\.weight", (LAYER + "linear2.weight",)),
    Rule(r"layers\.(\d+)\.norm_self\.(weight|bias)", (LAYER + r"norm1.\2",)),
    Rule(r"layers\.(\d+)\.norm_cross\.(weight|bias)", (LAYER + r"norm_cross.\2",)),
    Rule(r"layers\.(\d+)\.norm_ffn\.(weight|bias)", (LAYER + r"norm2.\2",)),
    Rule(
        r"projections\.(\w+)\.(weight|bias)",
        (r"condition_provider.conditioners.\1.output_proj.\2",),
    ),
)
LM_EXTRA = (
    r"condition_provider\.conditioners\.self_wav\."
    r"(chroma|demucs|embed|transformer|batch_norm|rvq)\..*"
)

AUDIO = f"condition_provider.conditioners.{MELODY}."
STYLE_LAYER = r"transformer.layers.\1."
STYLE_RULES = (
    Rule(r"embed\.(\w+)", (r"embed.\1",)),
    Rule(r"mean", ("batch_norm.running_mean",)),
    Rule(r"variance", ("batch_norm.running_var",)),
    Rule(r"quantizer\.codebooks", ("quantizer.codebooks",)),
    Rule(r"layers\.(\d+)\.self_attn\.qkv\.weight", (STYLE_LAYER + "self_attn.in_proj_weight",)),
    Rule(r"layers\.(\d+)\.self_attn\.out\.weight", (STYLE_LAYER + "self_attn.out_proj.weight",)),
    Rule(r"layers\.(\d+)\.ffn_in\.weight", (STYLE_LAYER + "linear1.weight",)),
    Rule(r"layers\.(\d+)\.ffn_out\.weight", (STYLE_LAYER + "linear2.weight",)),
    Rule(r"layers\.(\d+)\.norm_self\.(\w+)", (STYLE_LAYER + r"norm1.\2",)),
    Rule(r"layers\.(\d+)\.norm_ffn\.(\w+)", (STYLE_LAYER + r"norm2.\2",)),
)
STYLE_EXTRA = (
    rf"batch_norm\.num_batches_tracked|rvq\..*|output_proj\..*|mert\.({layout_mert.EXTRA})"
)
# The dim, heads and layers of the style transformer by name.
STYLE_SCALES = {"xsmall": (256, 8, 4), "default": (512, 8, 8), "large": (1024, 16, 24)}
STYLE_COMPUTED = {"model_name": "mert", "batch_norm": True}
STYLE_DEFAULTS = SamplingParams(cfg_beta=5.0)

STACK = r"\1.model.\2"
CODEC_RULES = (
    Rule(r"(encoder|decoder)\.layers\.(\d+)(\.block\.\d+|\.shortcut|)\.(weight|bias)",
         (STACK + r"\3.\4",)),
    Rule(r"(encoder|decoder)\.layers\.(\d+)\.lstm\.(\w+)", (STACK + r".lstm.\3",)),
    Rule(r"quantizer\.codebooks", ("quantizer.codebooks",)),
)  # fmt: skip
CODEC_EXTRA = r"quantizer\.vq\.layers\.\d+\._codebook\..*"

# The settings that the modules support; a checkpoint with others must not load without an error.
LM_COMPUTED = {
    "norm_first": True, "causal": True, "positional_embedding": "sin", "activation": "gelu",
    "norm": "layer_norm", "bias_ff": False, "bias_attn": False, "bias_proj": False,
    "qk_layer_norm": False, "qk_layer_norm_cross": False, "xpos": False, "kv_repeat": 1,
    "layer_scale": None, "past_context": None,
}  # fmt: skip
CFG_COMPUTED = {
    "fuser.sum": [], "fuser.input_interpolate": [], "fuser.cross_attention_pos_emb": False,
    "interleave_stereo_codebooks.per_timestep": False,
    f"conditioners.{TEXT}.model": "t5", f"conditioners.{TEXT}.t5.normalize_text": False,
}  # fmt: skip
PATTERN_COMPUTED = {"modeling": "delay", "delay.flatten_first": 0, "delay.empty_initial": 0}
CODEC_COMPUTED = {
    "compression_model": "encodec", "encodec.causal": False, "encodec.renormalize": False,
    "seanet.norm": "weight_norm", "seanet.activation": "ELU", "seanet.disable_norm_outer_blocks": 0,
}  # fmt: skip


def matches(folder: Path) -> bool:
    return (folder / LM_FILE).exists()


LoadMert = Callable[[], tuple[HubertConfig, dict[str, LazyTensor]]]


def read(
    folder: Path,
    name: str,
    load_t5: Callable[[str], LoadText],
    load_codec: Callable[[str], tuple[EncodecConfig, Part]],
    load_mert: LoadMert,
) -> Checkpoint:
    """Read the configuration of a checkpoint.

    Args:
        folder: The folder of the checkpoint.
        name: The name of the model.
        load_t5: Finds the T5 that the checkpoint names.
        load_codec: Finds the codec that the checkpoint names, if it does not contain one.
        load_mert: Finds the MERT of a style model.

    Raises:
        CheckpointError: If a file is missing or damaged, or a setting is not supported.
    """
    file = folder / LM_FILE
    content = read_bin(file)
    cfg = _config(file, content)
    tensors = _tensors(file, content)
    lm_config = _lm_config(cfg, tensors)
    t5_name = cfg.get(f"conditioners.{TEXT}.t5.name", str)
    kind = cfg.get(f"conditioners.{MELODY}.model", str, "")
    codec_config, codec = _codec(folder / CODEC_FILE, load_codec)

    def load_text(device: torch.device, dtype: torch.dtype) -> TextEncoder:
        # T5 is in another repository, and is not needed if the caller passes a text encoder.
        return load_t5(t5_name)(device, dtype)

    return cfg.make(
        Checkpoint,
        name=name,
        lm_config=lm_config,
        lm=Part(file, tensors, LM_RULES, LM_EXTRA),
        codec_config=codec_config,
        codec=codec,
        stereo=cfg.get("interleave_stereo_codebooks.use", bool, False),
        load_text=load_text,
        chroma=_chroma_config(cfg) if kind == "chroma_stem" else None,
        load_style=_style_loader(cfg, tensors, load_mert) if kind == "style" else None,
        segment_s=cfg.get("dataset.segment_duration", float, 30.0),
        defaults=STYLE_DEFAULTS if kind == "style" else SamplingParams(),
    )


def _style_loader(cfg: Fields, tensors: dict[str, LazyTensor], load_mert: LoadMert) -> LoadStyle:
    """Return a loader of the style encoder, which finds its MERT when it is called."""
    style = cfg.section(f"conditioners.{MELODY}.style")
    for key, value in STYLE_COMPUTED.items():
        style.expect(key, value)
    scale = style.get("transformer_scale", str)
    if scale not in STYLE_SCALES:
        raise CheckpointError(
            f"{cfg.file}: transformer_scale is {scale!r}; known are {', '.join(STYLE_SCALES)}"
        )
    dim, heads, layers = STYLE_SCALES[scale]
    own = without_prefix(tensors, AUDIO)
    codebooks = style.size("eval_q")
    books = [f"rvq.vq.layers.{k}._codebook.embed" for k in range(codebooks)]
    own["quantizer.codebooks"] = stacked(cfg.file, own, books)

    def load(device: torch.device) -> StyleEncoder:
        mert_config, mert = load_mert()
        config = style.make(
            StyleConfig,
            dim=dim,
            layers=layers,
            heads=heads,
            codebooks=codebooks,
            card=style.get("bins", int),
            every=style.get("ds_factor", int),
            length_s=style.get("length", float),
            mert=mert_config,
        )
        found = own | {f"mert.{name}": tensor for name, tensor in mert.items()}
        rules = (*layout_mert.rules(found, r"mert\.", "mert."), *STYLE_RULES)
        part = Part(cfg.file, found, rules, STYLE_EXTRA)
        return build(lambda: StyleEncoder(config), part, device, torch.float32)

    return load


def parts_elsewhere(folder: Path) -> list[str]:
    """Return the hub ids of the parts that a checkpoint only names: T5, codec and MERT."""
    file = folder / LM_FILE
    cfg = _config(file, read_bin(file))
    names = [cfg.get(f"conditioners.{TEXT}.t5.name", str)]
    codec = read_bin(folder / CODEC_FILE)
    if "pretrained" in codec:
        names.append(Fields(folder / CODEC_FILE, codec).get("pretrained", str))
    style = cfg.get(f"conditioners.{MELODY}.model", str, "") == "style"
    return [*names, hub.MERT] if style else names


def _codec(
    file: Path, load_codec: Callable[[str], tuple[EncodecConfig, Part]]
) -> tuple[EncodecConfig, Part]:
    content = read_bin(file)
    if "pretrained" in content:
        return load_codec(Fields(file, content).get("pretrained", str))
    config = _codec_config(_config(file, content))
    found = fuse_weight_norms(renamed(_tensors(file, content), _plain_name))
    books = [f"quantizer.vq.layers.{k}._codebook.embed" for k in range(config.codebooks)]
    found["quantizer.codebooks"] = stacked(file, found, books)
    return config, Part(file, found, CODEC_RULES, CODEC_EXTRA)


def _plain_name(name: str) -> str:
    """Remove the names of the wrapper modules around each convolution."""
    return re.sub(r"\.(conv\.conv|convtr\.convtr)\.", ".", name)


def _config(file: Path, content: dict[str, Any]) -> Fields:
    return Fields(file, plain_config(content.get("xp.cfg"), file))


def _state(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of best_state, which training checkpoints nest once more."""
    state: Any = content.get("best_state")
    nested = isinstance(state, dict) and isinstance(state.get("model"), dict)
    return state["model"] if nested else state or {}


def _tensors(file: Path, content: dict[str, Any]) -> dict[str, LazyTensor]:
    if not isinstance(content.get("best_state"), dict):
        raise CheckpointError(f"{file}: best_state is missing; it is not a released checkpoint")
    return MappedFile(file, lambda path: TensorsOf(_state(read_bin(path)))).tensors()


def _lm_config(cfg: Fields, tensors: dict[str, LazyTensor]) -> LMConfig:
    section = cfg.section(cfg.get("lm_model", str, "transformer_lm"))
    for key, value in CFG_COMPUTED.items():
        cfg.expect(key, value)
    for key, value in LM_COMPUTED.items():
        section.expect(key, value)
    for key, value in PATTERN_COMPUTED.items():
        cfg.section("codebooks_pattern").expect(key, value)
    dim = section.get("dim", int)
    return cfg.make(
        LMConfig,
        dim=dim,
        layers=section.get("num_layers", int),
        heads=section.get("num_heads", int),
        ffn_dim=int(section.get("hidden_scale", float) * dim),
        card=section.get("card", int),
        codebooks=section.get("n_q", int),
        cross_attention=TEXT in cfg.get("fuser.cross", list),
        delays=cfg.ints("codebooks_pattern.delay.delays"),
        cond_dims=_condition_widths(cfg, tensors),
    )


def _condition_widths(cfg: Fields, tensors: dict[str, LazyTensor]) -> dict[str, int]:
    """Return the widths of conditions by their projections; the configuration lacks T5's."""
    names = [*cfg.get("fuser.cross", list), *cfg.get("fuser.prepend", list)]
    if sorted(names) not in ([TEXT], [TEXT, MELODY]):
        raise CheckpointError(
            f"{cfg.file}: conditions {names} are not supported, only {TEXT} and {MELODY}"
        )
    if MELODY in names and cfg.get(f"conditioners.{MELODY}.model", str) != "style":
        cfg.expect(f"conditioners.{MELODY}.model", "chroma_stem")
    widths = {}
    for name in names:
        key = f"condition_provider.conditioners.{name}.output_proj.weight"
        if key not in tensors:
            raise CheckpointError(f"{cfg.file}: tensor {key} is missing; the file is damaged")
        widths[name] = tensors[key].read().shape[-1]
    return widths


def _chroma_config(cfg: Fields) -> ChromaConfig:
    chroma = cfg.section(f"conditioners.{MELODY}.chroma_stem")
    chroma.expect("argmax", True)
    rate = chroma.get("sample_rate", int)
    window = 2 ** chroma.size("radix2_exp")
    hop = max(window // 4, 1)
    samples = int(cfg.get("dataset.segment_duration", float) * rate)
    return chroma.make(
        ChromaConfig,
        sample_rate_hz=rate,
        bins=chroma.get("n_chroma", int),
        window=window,
        hop=hop,
        frames=samples // hop + 1,
    )


def _codec_config(cfg: Fields) -> EncodecConfig:
    for key, value in CODEC_COMPUTED.items():
        cfg.expect(key, value)
    seanet = cfg.section("seanet")
    return cfg.make(
        EncodecConfig,
        sample_rate_hz=cfg.get("sample_rate", int),
        codebooks=cfg.get("rvq.n_q", int),
        card=cfg.get("rvq.bins", int),
        seanet=seanet.make(
            SeanetConfig,
            channels=seanet.get("channels", int),
            filters=seanet.get("n_filters", int),
            dimension=seanet.get("dimension", int),
            ratios=seanet.ints("ratios"),
            kernel=seanet.get("kernel_size", int),
            residual_kernel=seanet.get("residual_kernel_size", int),
            last_kernel=seanet.get("last_kernel_size", int),
            dilation_base=seanet.get("dilation_base", int),
            residual_layers=seanet.get("n_residual_layers", int),
            lstm_layers=seanet.get("lstm", int),
            compress=seanet.get("compress", int),
            pad_mode=seanet.get("pad_mode", str),
            true_skip=seanet.get("true_skip", bool),
        ),
    )


def _thirds(packed: Tensor, start: int, stop: int) -> Tensor:
    """Return rows of a packed matrix of queries, keys and values."""
    third = packed.shape[0] // 3
    return packed[start * third : stop * third]
