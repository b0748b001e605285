"""Models on the device: random weights, the widths of MusicGen-small, few layers."""

from __future__ import annotations

import torch

from tests.fakes import TEXT_DIM, fake_model
from toccata.decoder.decoder import Decoder, LMConfig
from toccata.models.model import TEXT, Model

DTYPES = [torch.float32, torch.float16, torch.bfloat16]
CUDA = torch.device("cuda")


def can(dtype: torch.dtype) -> bool:
    return dtype is not torch.bfloat16 or torch.cuda.is_bf16_supported(including_emulation=False)


def wide_decoder(dtype: torch.dtype, layers: int = 3, dim: int = 1024) -> Decoder:
    config = LMConfig(
        dim=dim,
        layers=layers,
        heads=dim // 64,
        ffn_dim=4 * dim,
        card=2048,
        codebooks=4,
        cross_attention=True,
        delays=(0, 1, 2, 3),
        cond_dims={TEXT: TEXT_DIM},
    )
    generator = torch.Generator().manual_seed(3)
    decoder = Decoder(config)
    for parameter in decoder.parameters():
        if parameter.dim() > 1:
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.data = noise * 1.5 / parameter.shape[1] ** 0.5
    return decoder.eval().requires_grad_(False).to(CUDA, dtype)


def wide_model(dtype: torch.dtype, segment_s: float = 6.0) -> Model:
    return on_device(fake_model(segment_s=segment_s), wide_decoder(dtype))


def on_device(model: Model, decoder: Decoder) -> Model:
    """`model` with `decoder` in place of its own, where that is."""
    weight = decoder.embed[0].get_parameter("weight")
    model.lm, model.device, model.dtype = decoder, weight.device, weight.dtype
    return model
