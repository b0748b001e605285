"""Build a model from what a layout has found in a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from toccata.codecs.base import Codec
from toccata.codecs.encodec import Encodec, EncodecConfig
from toccata.codecs.stereo import StereoCodec
from toccata.conditioners.base import TextEncoder
from toccata.conditioners.chroma import ChromaConfig
from toccata.conditioners.stems import MelodyStems
from toccata.conditioners.style import StyleEncoder
from toccata.config_limits import check_limits
from toccata.decoder.condition_scale import ConditionScale, emphasized
from toccata.decoder.decoder import Decoder, LMConfig
from toccata.decoder.quantized import COMPRESSED, compress_one
from toccata.devices import Precision
from toccata.errors import CheckpointError
from toccata.models.checkpoints.tensors import Part, build
from toccata.models.lora_files import Lora, merged
from toccata.models.model import Model
from toccata.models.sampling_params import SamplingParams

WEIGHTS_LICENCE = "CC-BY-NC-4.0"

M = TypeVar("M", bound=nn.Module)
LoadText = Callable[[torch.device, torch.dtype], TextEncoder]
LoadStyle = Callable[[torch.device], StyleEncoder]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was understood, none of its tensors read yet.

    stereo: the LM's codebooks interleave two channels of the (mono) codec.
    load_text: loads the text encoder to a device and dtype. load_style: the style encoder, in
    float32, of a model that takes the style of audio. emphasis: for a model that makes music.
    """

    name: str
    lm_config: LMConfig
    lm: Part
    codec_config: EncodecConfig
    codec: Part
    stereo: bool
    load_text: LoadText
    chroma: ChromaConfig | None = None
    load_style: LoadStyle | None = None
    segment_s: float = 30.0
    defaults: SamplingParams = field(default_factory=SamplingParams)
    licence: str = WEIGHTS_LICENCE
    emphasis: ConditionScale = field(default_factory=ConditionScale)

    def __post_init__(self) -> None:
        check_limits(self)
        check_limits(self.defaults)
        lm = (self.lm_config.codebooks, self.lm_config.card)
        codec = (self.codec_config.codebooks * (2 if self.stereo else 1), self.codec_config.card)
        if lm != codec:
            raise CheckpointError(
                f"{self.lm.file}: has {lm[0]} codebooks of {lm[1]} codes, but its codec, "
                f"{self.codec.file}, makes {codec[0]} of {codec[1]}; they are of different models"
            )


def assemble(
    checkpoint: Checkpoint,
    device: torch.device,
    precision: Precision,
    *,
    text_encoder: TextEncoder | None,
    text_dtype: torch.dtype,
    offline: bool,
    lora: Sequence[Lora] = (),
    as_trained: bool = False,
) -> Model:
    """Read the tensors, and add `lora` to those of the LM; then emphasise, if not `as_trained`.

    On CPUs the codec is packed for compiled kernels, elsewhere float32.
    """
    codec = load_codec(checkpoint.codec_config, checkpoint.codec, device)
    if device.type == "cpu":
        codec.compile_networks(half=precision.name != "fp32")
    return Model(
        name=checkpoint.name,
        lm=load_lm(checkpoint, device, precision, lora, as_trained=as_trained),
        codec=StereoCodec(codec) if checkpoint.stereo else codec,
        text_encoder=text_encoder or checkpoint.load_text(device, text_dtype),
        chroma=checkpoint.chroma,
        segment_s=checkpoint.segment_s,
        defaults=checkpoint.defaults,
        device=device,
        dtype=precision.dtype,
        licence=checkpoint.licence,
        emphasis=checkpoint.emphasis if as_trained else ConditionScale(),
        stems=MelodyStems(offline=offline),
        style=None if checkpoint.load_style is None else checkpoint.load_style(device),
    )


def load_lm(
    checkpoint: Checkpoint,
    device: torch.device,
    precision: Precision,
    lora: Sequence[Lora] = (),
    *,
    as_trained: bool = False,
) -> Decoder:
    """Its layers' matrices are compressed as they are read, never held in full together."""
    kind = COMPRESSED.get(precision.name)
    replace = None if kind is None else partial(compress_one, kind)
    make, dtype = partial(Decoder, checkpoint.lm_config), precision.dtype
    emphasis = ConditionScale() if as_trained else checkpoint.emphasis

    def change(name: str, weight: Tensor) -> Tensor:
        return emphasized(emphasis, name, merged(lora, name, weight))

    return build(make, checkpoint.lm, device, dtype, change=change, replace=replace)


def load_codec(config: EncodecConfig, part: Part, device: torch.device) -> Encodec:
    return build(lambda: Encodec(config), part, device, torch.float32)


def mono_codec(codec: Codec) -> Encodec:
    """The EnCodec inside `codec`, which may be stereo."""
    inner = codec.mono if isinstance(codec, StereoCodec) else codec
    if not isinstance(inner, Encodec):
        raise TypeError(f"{type(inner).__name__} is not an Encodec")
    return inner
