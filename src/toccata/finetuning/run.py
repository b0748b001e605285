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
from toccata.generation.handle import load
from toccata.models import lora_files
from toccata.models.loading import load_model
from toccata.models.model import Model

PARTS = 10_000
TRIAL_STEPS = 2


@dataclass(frozen=True)
class RunConfig:
    """One run.

    Attributes:
        data: The folder of music.
        base: The model to start from: name, hub id or folder.
        output: A file that ends in .safetensors for a LoRA, otherwise a new folder.
        options: How to train.
        folder: How the music is prepared; a segment_s of 0 is the model's window.
        device: Where to train; None: the fastest device.
        offline: Whether nothing may be downloaded.
        version: toccata's version, for the output's metadata.
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
    """The result of a run.

    Attributes:
        path: The output.
        run: The folder of the run's state.
        steps: How many steps were made.
        best_step: The step whose weights were written.
        held_out: Their validation loss in nats per code; None if no music was held out.
        seconds: The time of all steps.
        first: Whether this is the process that reports.
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
    """What a run would take: `trained` weights, and `step_s` seconds for a step."""

    device: torch.device
    precision: str
    trained: int
    step_s: float
    summary: str


def finetune(config: RunConfig, on_progress: OnProgress) -> Outcome:
    """Train, or continue training, and write the best weights.

    Args:
        config: The run.
        on_progress: Called with parts done, of how many, and a text.

    Raises:
        InputErrors: Options, folder or output cannot be used.
        CheckpointError: The model cannot be loaded.
        KeyboardInterrupt: The process was told to stop; the state is saved.
    """
    options = _checked(config)
    output = Output(config.output, run_folder(config.output))
    with _trainer(config, options, on_progress) as (trainer, items, ranks):
        info = _info(config, trainer.model, options, items)

        def on_step(done: float, status: str) -> None:
            on_progress(round(PARTS * min(done, 1.0)), PARTS, status)

        def on_better(weights: Mapping[str, Tensor], step: int) -> None:
            if options.kind == LORA:
                output.write_lora(replace(info, steps=step), _factors(weights))

        record = trainer.train(on_step, on_better)
        if ranks.first:
            info = replace(info, steps=record.best_step)
            _write(output, trainer, info, config.output.name)
        ranks.wait()
    return Outcome(
        path=config.output,
        run=run_folder(config.output),
        steps=record.step,
        best_step=record.best_step,
        held_out=record.best,
        seconds=record.elapsed_s,
        first=ranks.first,
    )


def trial(config: RunConfig, on_progress: OnProgress) -> Trial:
    """Make two steps, of which only the codes and beats of the music are kept."""
    options = replace(config.options.resolved(), keep=0)
    with _trainer(config, options, on_progress, resumes=False) as (trainer, items, _):
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
    config: RunConfig, options: FinetuneOptions, on_progress: OnProgress, resumes: bool = True
) -> Iterator[tuple[Trainer, list[Item], Ranks]]:
    device = pick_device(local_device(config.device))
    options = replace(options, precision=options.precision or precision_of(device))
    run = run_folder(config.output)
    with joined(device) as ranks:
        if options.keep and ranks.first:
            loading = partial(load, config.base, device=str(device), offline=config.offline)
            make_clips(loading, run / KEPT, options.keep, on_progress)
        model = load_model(
            config.base,
            device=str(device),
            precision="fp32" if options.kind == FULL else options.precision,
            offline=config.offline,
            as_trained=True,
        )
        items, kept = _items(config, options, model, ranks, on_progress)
        files = RunFiles(run if resumes else run / "trial", run / BEATS)
        yield Trainer(model, [*items, *kept], options, files, ranks), items, ranks


def precision_of(device: torch.device) -> str:
    """The precision that trains fastest on a device without a loss of quality."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return "fp32"
    return "bf16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "fp32"


def _items(
    config: RunConfig,
    options: FinetuneOptions,
    model: Model,
    ranks: Ranks,
    on_progress: OnProgress,
) -> tuple[list[Item], list[Item]]:
    """Items of the music, and of prior preservation. The first process encodes them all."""
    segment_s = config.folder.segment_s or model.segment_s
    shortest_s = min(config.folder.shortest_s, segment_s)
    folder = replace(config.folder, segment_s=segment_s, shortest_s=shortest_s)
    run = run_folder(config.output)
    if not ranks.first:
        ranks.wait()
    items = prepare(config.data, model, folder, run / CODES, on_progress)
    own = replace(folder, captions=None, devocalise=False, held_out_share=0.0)
    kept = prepare(run / KEPT, model, own, run / CODES, on_progress) if options.keep else []
    if ranks.first:
        ranks.wait()
    named = [replace(item, caption=_with_trigger(options.trigger, item.caption)) for item in items]
    return named, kept


def _with_trigger(trigger: str, caption: str) -> str:
    return ", ".join(part for part in (trigger.strip(), caption) if part)


def _checked(config: RunConfig) -> FinetuneOptions:
    """The resolved options, with the precision of the run so far if none is set.

    Raises InputErrors for wrong options, and for an output that this run has not written.
    """
    options, output = config.options.resolved(), config.output
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
    config: RunConfig, model: Model, options: FinetuneOptions, items: Sequence[Item]
) -> lora_files.LoraInfo:
    shape = model.lm.config
    [(caption, _)] = Counter(item.caption for item in items).most_common(1)
    return lora_files.LoraInfo(
        base=model.name,
        base_digest=lora_files.shape_digest(shape),
        base_shape=lora_files.shape_text(shape),
        rank=options.lora.rank,
        alpha=options.lora.alpha,
        targets=options.lora.targets,
        caption=options.trigger or caption,
        steps=0,
        toccata=config.version,
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
