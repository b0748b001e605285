"""`toccata train pack`: a trained codec and LM into one folder that loads by its path."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from toccata.errors import InputError
from toccata.families import layout_toccata
from toccata.families.model import Model
from toccata.lm.decoder import Decoder
from toccata.training.codec_run import load_codec
from toccata.training.config import load_config
from toccata.training.lm_run import load_trained
from toccata.types import SamplingParams

KEPT = ("MODEL_CARD.md",)


@dataclass(frozen=True)
class PackRun:
    """`out` is replaced, except for its model card.

    emphasis: conditions by name, and how many times as loud as in training the model is told them.
    sharpness: what the logits of each codebook are multiplied by, so that temperature 1 draws fewer
    of the unlikely codes than training would have it; none leaves them as they are.
    """

    out: str
    codec: str
    lm: str
    name: str
    licence: str = "MIT"
    defaults: SamplingParams = field(default_factory=SamplingParams)
    emphasis: Mapping[str, float] = field(default_factory=dict)
    sharpness: tuple[float, ...] = ()


def main(config: Path) -> Path:
    """Write the model in half precision; returns its folder."""
    run = load_config(config, PackRun)
    out, aside = Path(run.out), Path(run.out).with_suffix(".partial")
    shutil.rmtree(aside, ignore_errors=True)
    layout_toccata.write(trained_model(run), aside, torch.float16)
    for name in KEPT:
        if (out / name).exists():
            shutil.copy(out / name, aside / name)
    shutil.rmtree(out, ignore_errors=True)
    aside.rename(out)
    return out


def trained_model(run: PackRun) -> Model:
    """The model of two training runs, in memory."""
    lm_run, parts = load_trained(Path(run.lm))
    _emphasize(parts.lm, run.emphasis)
    _sharpen(parts.lm, run.sharpness)
    return Model(
        name=run.name,
        lm=parts.lm,
        codec=load_codec(Path(run.codec)),
        text_encoder=parts.text,
        chroma=lm_run.chroma,
        segment_s=lm_run.segment_s,
        defaults=run.defaults,
        device=torch.device("cpu"),
        dtype=torch.float32,
        licence=run.licence,
    )


@torch.no_grad()
def _emphasize(lm: Decoder, emphasis: Mapping[str, float]) -> None:
    for name, times in emphasis.items():
        if name not in lm.projections:
            known = "it must be one of " + ", ".join(lm.projections)
            raise InputError("emphasis", name, known)
        for weights in lm.projections[name].parameters():
            weights.mul_(times)


@torch.no_grad()
def _sharpen(lm: Decoder, sharpness: Sequence[float]) -> None:
    if not sharpness:
        return
    if len(sharpness) != len(lm.heads) or min(sharpness) <= 0:
        raise InputError("sharpness", sharpness, f"give {len(lm.heads)} numbers above 0")
    for head, times in zip(lm.heads, sharpness, strict=True):
        head.get_parameter("weight").mul_(times)
