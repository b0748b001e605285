"""Measure fine-tuning on this machine: `python -m bench.finetune --shape small --kind lora`.

Weights are random, of a published checkpoint's shape, and so are the codes of whole segments. The
peak memory is that of the process (on a GPU: of the GPU) during loading and two steps.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from toccata.benchmark.machine import peak_bytes, wait_for
from toccata.benchmark.random_model import random_model
from toccata.benchmark.shapes import shape_of
from toccata.benchmark.task import PROMPT
from toccata.devices import pick_device
from toccata.finetuning.dataset import Item, Tags
from toccata.finetuning.options import FULL, KINDS, LORA, FinetuneOptions
from toccata.finetuning.run import TRIAL_STEPS, precision_of
from toccata.finetuning.run_files import RunFiles
from toccata.finetuning.trainer import Trainer
from toccata.models.model import Model


def main() -> None:
    arguments = _arguments()
    device = pick_device(arguments.device)
    options = FinetuneOptions(
        kind=arguments.kind,
        batch=arguments.batch,
        recompute=arguments.recompute,
        precision=arguments.precision or precision_of(device),
    ).resolved()
    weights_precision = "fp32" if arguments.kind == FULL else options.precision
    model = random_model(shape_of(arguments.shape), weights_precision, str(device))
    loaded_gb = peak_bytes(device) / 1e9
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model, [_item(model, n) for n in range(8)], options, RunFiles(Path(folder))
        )
        took_s = [_step_s(trainer) for _ in range(TRIAL_STEPS)]
    found = {
        "shape": arguments.shape,
        "device": str(device),
        "kind": options.kind,
        "precision": options.precision,
        "batch": options.batch,
        "recompute": options.recompute,
        "trained_m": round(trainer.weights.count / 1e6, 2),
        "step_s": round(took_s[-1], 2),
        "loaded_gb": round(loaded_gb, 2),
        "peak_gb": round(peak_bytes(device) / 1e9, 2),
    }
    print(json.dumps(found))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", default="small")
    parser.add_argument("--kind", default=LORA, choices=KINDS)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--recompute", action="store_true")
    parser.add_argument("--precision", default="")
    parser.add_argument("--device")
    return parser.parse_args()


def _item(model: Model, number: int) -> Item:
    config = model.lm.config
    frames = round(model.segment_s * model.codec.frame_rate_hz)
    codes = np.random.default_rng(number).integers(0, config.card, (config.codebooks, frames))
    melody = None
    if model.chroma is not None:
        melody = np.eye(model.chroma.bins, dtype=np.float32)[np.arange(model.chroma.frames) % 12]
    tags = Tags(None, None, -14.0)
    return Item(f"{number}", 0.0, PROMPT, tags, codes.astype(np.uint16), melody, held_out=False)


def _step_s(trainer: Trainer) -> float:
    began_s = time.perf_counter()
    trainer.update(trainer.options.lr)
    wait_for(trainer.model.device)
    return time.perf_counter() - began_s


if __name__ == "__main__":
    main()
