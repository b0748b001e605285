"""A fine-tuning run from a folder of music to a file that loads."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from toccata.decoder.lora import Factors
from toccata.devices import pick_device
from toccata.errors import InputError
from toccata.finetuning.dataset import FolderOptions, Item, prepare, summary
from toccata.finetuning.dataset.preparation import OnProgress
from toccata.finetuning.options import FULL, LORA, FinetuneOptions, check_same
from toccata.finetuning.output import Output
from toccata.finetuning.prior_preservation import make_clips
from toccata.finetuning.ranks import Ranks, joined, local_device
from toccata.finetuning.run_files import BEATS, CODES, KEPT, RunFiles, run_folder
from toccata.finetuning.trainer import Trainer
from toccata.generation.pipeline import load
from toccata.models import lora_files
from toccata.models.loading import load_model
from toccata.models.model import Model

PARTS = 10_000
TRIAL_STEPS = 2


@dataclass(frozen=True)
class RunConfig:
    """One run: music in `data`, a model to start from, and what to write.

    output: a file ending in .safetensors for a LoRA, a new folder otherwise. folder: how the music
    is cut and heard; a segment_s of 0 is the model's own. version: of toccata, for the file.
    """

    data: Path
    base: str
    output: Path
    options: FinetuneOptions
    folder: FolderOptions
    device: str | None = None
    offline: bool = False
    version: str = ""


@dataclass(frozen=True)
class Outcome:
    """What came of a run. steps: those made; best_step: the one whose weights were written;
    held_out: their loss in nats per code, None if no music was held out.
    """

    path: Path
    run: Path
    steps: int
    best_step: int
    held_out: float | None
    seconds: float
    first: bool


@dataclass(frozen=True)
class Trial:
    """What a run would take. trained: how many weights."""

    device: torch.device
    precision: str
    trained: int
    step_s: float
    summary: str


def finetune(wanted: RunConfig, on_progress: OnProgress) -> Outcome:
    """Train, or go on training, and write the best there was.

    Raises InputErrors for options, a folder or an output that cannot be used, and what loading the
    model raises. Ctrl-C saves, and comes through as KeyboardInterrupt.
    """
    options = _checked(wanted)
    output = Output(wanted.output, run_folder(wanted.output))
    with _trainer(wanted, options, on_progress) as (trainer, items, ranks):
        info = _info(wanted, trainer.model, options, items)

        def on_step(done: float, said: str) -> None:
            on_progress(round(PARTS * min(done, 1.0)), PARTS, said)

        def on_better(weights: Mapping[str, Tensor], step: int) -> None:
            if options.kind == LORA:
                output.write_lora(replace(info, steps=step), _factors(weights))

        record = trainer.train(on_step, on_better)
        if ranks.first:
            info = replace(info, steps=record.best_step)
            _write(output, trainer, info, wanted.output.name)
        ranks.wait()
    return Outcome(
        path=wanted.output,
        run=run_folder(wanted.output),
        steps=record.step,
        best_step=record.best_step,
        held_out=record.best,
        seconds=record.elapsed_s,
        first=ranks.first,
    )


def trial(wanted: RunConfig, on_progress: OnProgress) -> Trial:
    """Two steps, of which nothing is kept but the codes of the music and its beats."""
    options = replace(wanted.options.settled(), keep=0)
    with _trainer(wanted, options, on_progress, resumes=False) as (trainer, items, _):
        for _ in range(TRIAL_STEPS):
            began_s = time.monotonic()
            trainer.update(options.lr)
            took_s = time.monotonic() - began_s
        return Trial(
            device=trainer.model.device,
            precision=trainer.options.precision,
            trained=trainer.weights.count,
            step_s=took_s,
            summary=str(summary(items, trainer.model.codec.frame_rate_hz)),
        )


@contextmanager
def _trainer(
    wanted: RunConfig, options: FinetuneOptions, on_progress: OnProgress, resumes: bool = True
) -> Iterator[tuple[Trainer, list[Item], Ranks]]:
    device = pick_device(local_device(wanted.device))
    options = replace(options, precision=options.precision or precision_of(device))
    run = run_folder(wanted.output)
    with joined(device) as ranks:
        if options.keep and ranks.first:
            loading = partial(load, wanted.base, device=str(device), offline=wanted.offline)
            make_clips(loading, run / KEPT, options.keep, on_progress)
        model = load_model(
            wanted.base,
            device=str(device),
            precision="fp32" if options.kind == FULL else options.precision,
            offline=wanted.offline,
            as_trained=True,
        )
        items, kept = _items(wanted, options, model, ranks, on_progress)
        files = RunFiles(run if resumes else run / "trial", run / BEATS)
        yield Trainer(model, [*items, *kept], options, files, ranks), items, ranks


def precision_of(device: torch.device) -> str:
    """What trains fastest on a device without being worse."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return "fp32"
    return "bf16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "fp32"


def _items(
    wanted: RunConfig,
    options: FinetuneOptions,
    model: Model,
    ranks: Ranks,
    on_progress: OnProgress,
) -> tuple[list[Item], list[Item]]:
    """Of the music, and of the model's own. The first process encodes, the others find it done."""
    segment_s = wanted.folder.segment_s or model.segment_s
    shortest_s = min(wanted.folder.shortest_s, segment_s)
    folder = replace(wanted.folder, segment_s=segment_s, shortest_s=shortest_s)
    run = run_folder(wanted.output)
    if not ranks.first:
        ranks.wait()
    items = prepare(wanted.data, model, folder, run / CODES, on_progress)
    own = replace(folder, captions=None, devocalise=False, held_out_share=0.0)
    kept = prepare(run / KEPT, model, own, run / CODES, on_progress) if options.keep else []
    if ranks.first:
        ranks.wait()
    named = [replace(item, caption=_called(options.trigger, item.caption)) for item in items]
    return named, kept


def _called(trigger: str, caption: str) -> str:
    return ", ".join(part for part in (trigger.strip(), caption) if part)


def _checked(wanted: RunConfig) -> FinetuneOptions:
    """The options, settled; the precision is that of the run so far, where none is named.

    Raises InputErrors for wrong ones, and for an output that this run has not written.
    """
    options, output = wanted.options.settled(), wanted.output
    files = RunFiles(run_folder(output))
    if options.kind == LORA and output.suffix != ".safetensors":
        raise InputError("output", str(output), "end its name in .safetensors")
    state = files.state()
    if state is not None:
        precision = options.precision or str(json.loads(state["options"])["precision"])
        options = replace(options, precision=precision)
        check_same(state["options"], options, str(files.folder))
    Output(output, files.folder).check()
    return options


def _info(
    wanted: RunConfig, model: Model, options: FinetuneOptions, items: Sequence[Item]
) -> lora_files.LoraInfo:
    config = model.lm.config
    [(caption, _)] = Counter(item.caption for item in items).most_common(1)
    return lora_files.LoraInfo(
        base=model.name,
        base_digest=lora_files.shape_digest(config),
        base_shape=lora_files.shape_text(config),
        rank=options.lora.rank,
        alpha=options.lora.alpha,
        targets=options.lora.targets,
        caption=options.trigger or caption,
        steps=0,
        toccata=wanted.version,
    )


def _write(output: Output, trainer: Trainer, info: lora_files.LoraInfo, name: str) -> None:
    best = trainer.files.best() or trainer.weights.values()
    if trainer.options.kind == LORA:
        output.write_lora(info, _factors(best))
    else:
        trainer.weights.put(best)
        output.write_model(replace(trainer.model, name=name))


def _factors(weights: Mapping[str, Tensor]) -> dict[str, Factors]:
    def plain(name: str) -> Tensor:
        return weights[name].detach().to("cpu", torch.float32).contiguous()

    paths = [name.removesuffix(".a") for name in weights if name.endswith(".a")]
    return {path: (plain(f"{path}.a"), plain(f"{path}.b")) for path in paths}
