"""Build a model from a checkpoint that a layout's reader has parsed."""

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
from toccata.decoder.condition_scale import ConditionScale, scaled
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
    """A parsed checkpoint, whose tensors are not read yet.

    Attributes:
        name: The name of the model.
        lm_config: The shape of the language model.
        lm: Its tensors.
        codec_config: The shape of the codec.
        codec: Its tensors.
        stereo: Whether the LM's codebooks interleave two channels of the mono codec.
        load_text: Loads the text encoder to a device and dtype.
        chroma: The parameters of melody conditioning; None for a model without it.
        load_style: Loads the style encoder in float32; None for a model without it.
        segment_s: The length of a training segment in seconds.
        defaults: The default sampling parameters.
        licence: The licence of the weights.
        condition_scale: The factors that are applied for generation, not for training.

    Raises:
        CheckpointError: If a value is out of range, or the LM and the codec do not fit together.
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
    condition_scale: ConditionScale = field(default_factory=ConditionScale)

    def __post_init__(self) -> None:
        check_limits(self)
        check_limits(self.defaults)
        lm = (self.lm_config.codebooks, self.lm_config.card)
        codec = (self.codec_config.codebooks * (2 if self.stereo else 1), self.codec_config.card)
        if lm != codec:
            raise CheckpointError(
                f"{self.lm.file}: has {lm[0]} codebooks of {lm[1]} codes, but its codec, "
                f"{self.codec.file}, has {codec[0]} of {codec[1]}; they are of different models"
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
    """Read the tensors of a checkpoint and build the model.

    On CPUs the codec uses compiled kernels, elsewhere torch in float32.

    Args:
        checkpoint: The parsed checkpoint.
        device: Where the model runs.
        precision: The precision of the LM's matrices.
        text_encoder: Used instead of the checkpoint's.
        text_dtype: The dtype of the checkpoint's text encoder.
        offline: Whether stem separation must not download its weights.
        lora: LoRAs that are added to the LM's matrices.
        as_trained: Whether to leave out the condition scale, for training.

    Raises:
        CheckpointError: If a tensor is missing, damaged or of another shape.
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
        condition_scale=checkpoint.condition_scale if as_trained else ConditionScale(),
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
    """Read the LM; each matrix is quantised when it is read, so that memory has one in full."""
    kind = COMPRESSED.get(precision.name)
    replace = None if kind is None else partial(compress_one, kind)
    make, dtype = partial(Decoder, checkpoint.lm_config), precision.dtype
    scale = ConditionScale() if as_trained else checkpoint.condition_scale

    def change(name: str, weight: Tensor) -> Tensor:
        return scaled(scale, name, merged(lora, name, weight))

    return build(make, checkpoint.lm, device, dtype, change=change, replace=replace)


def load_codec(config: EncodecConfig, part: Part, device: torch.device) -> Encodec:
    """Read the codec in float32."""
    return build(lambda: Encodec(config), part, device, torch.float32)


def mono_codec(codec: Codec) -> Encodec:
    """Return the EnCodec of a codec, which may be stereo."""
    inner = codec.mono if isinstance(codec, StereoCodec) else codec
    if not isinstance(inner, Encodec):
        raise TypeError(f"{type(inner).__name__} is not an Encodec")
    return inner
