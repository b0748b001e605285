"""What transformers' own integration tests compute of a MusicGen, computed by toccata."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from torch import Tensor

from tests.engine.helpers import run
from toccata.codecs.encodec import EncodecConfig
from toccata.engine.engine import Engine
from toccata.engine.sequence import Request
from toccata.models import hub
from toccata.models.checkpoints import audiocraft, transformers
from toccata.models.checkpoints.assembly import Checkpoint, load_codec, mono_codec
from toccata.models.checkpoints.tensors import Part
from toccata.models.loading import load_model, read_checkpoint
from toccata.models.model import Model
from toccata.models.sampling_params import SamplingParams


def model_as_transformers_has_it(folder: Path) -> Model:
    """In fp32, and its codec pads as its file says: transformers does not know better."""
    model = load_model(folder, device="cpu", precision="fp32", offline=True)
    checkpoint = read_checkpoint(folder, offline=True)
    seanet = replace(checkpoint.codec_config.seanet, pad_mode="reflect")
    config = replace(checkpoint.codec_config, seanet=seanet)
    return replace(model, codec=load_codec(config, checkpoint.codec, torch.device("cpu")))


@torch.inference_mode()
def first_logits(model: Model, prompt: str) -> Tensor:
    """Of the first step [K, card]: the model has read its start token alone."""
    config = model.lm.config
    start = torch.full((1, config.codebooks, 1), config.special_id)
    text = model.conditions(prompt).text
    assert text is not None
    logits: Tensor = model.lm(start, memory=text[None])
    return logits[0, :, 0]


def greedy_audio(model: Model, prompt: str, *, tokens: int, cfg: float) -> Tensor:
    """[C, N] of `tokens` steps. The last steps, in which the delay runs out, make no frame."""
    given = model.conditions(prompt)
    frames = tokens - max(model.lm.config.delays)
    params = SamplingParams(temperature=0.0, cfg=cfg)
    request = Request(lambda _: given, frames, params, 0, stride_frames=900)
    codes = torch.from_numpy(run(Engine(model, 1), request))
    return mono_codec(model.codec).decode(codes[None])[0]


@torch.inference_mode()
def unconditional_audio(model: Model, *, tokens: int) -> Tensor:
    """[C, N] of so few tokens that transformers leaves out the delay of the codebooks (below 7)."""
    config = model.lm.config
    steps = torch.full((1, config.codebooks, 1), config.special_id)
    for _ in range(tokens):
        likeliest = model.lm(steps)[:, :, -1:].argmax(-1)
        steps = torch.cat([steps, likeliest], -1)
    return mono_codec(model.codec).decode(steps[..., 1:])[0]


def audiocraft_alone(folder: Path) -> Checkpoint:
    """What audiocraft's files in `folder` say, also if transformers' lie beside them.

    A codec that is only named is looked for in the hub's cache; there is neither T5 nor MERT.
    """

    def elsewhere(*_: object) -> NoReturn:
        pytest.fail("neither T5 nor MERT is needed here")

    def named_codec(codec_id: str) -> tuple[EncodecConfig, Part]:
        return transformers.read_codec(hub.fetch(codec_id, offline=True))

    return audiocraft.read(folder, folder.name, elsewhere, named_codec, elsewhere)
