"""`python -m recipes.mini pack`: a trained codec and LM into one folder that loads by its path."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import torch

from recipes.mini.codec.train_codec import load_codec
from recipes.mini.lm.train_lm import load_trained
from toccata.decoder.condition_scale import ConditionScale
from toccata.finetuning.config_file import load_config
from toccata.models.checkpoints import native
from toccata.models.model import Model
from toccata.models.sampling_params import SamplingParams

KEPT = ("MODEL_CARD.md",)


@dataclass(frozen=True)
class PackRun:
    """The parts of a model, and the folder `out`, which is replaced except for its model card.

    condition_scale: the factors that are applied when the model is loaded for generation.
    """

    out: str
    codec: str
    lm: str
    name: str
    licence: str = "MIT"
    defaults: SamplingParams = field(default_factory=SamplingParams)
    condition_scale: ConditionScale = field(default_factory=ConditionScale)


def main(config: Path) -> Path:
    """Write the model in half precision; returns the folder."""
    run = load_config(config, PackRun)
    out, temporary = Path(run.out), Path(run.out).with_suffix(".partial")
    shutil.rmtree(temporary, ignore_errors=True)
    native.write(trained_model(run), temporary, torch.float16)
    for name in KEPT:
        if (out / name).exists():
            shutil.copy(out / name, temporary / name)
    shutil.rmtree(out, ignore_errors=True)
    temporary.rename(out)
    return out


def trained_model(run: PackRun) -> Model:
    """The model of two training runs, in memory, as it was trained.

    Raises CheckpointError for a condition scale that is not of this model.
    """
    lm_run, parts = load_trained(Path(run.lm))
    run.condition_scale.check(parts.lm.config)
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
        condition_scale=run.condition_scale,
    )
