"""`toccata train lora` and `toccata train full`: fine-tune a model on a folder of music."""

from __future__ import annotations

import inspect
import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toccata import __version__, settings
from toccata.cli import completion, flags
from toccata.cli.places import check_can_be_made
from toccata.cli.report import say, show, show_json, working
from toccata.errors import InputError

if TYPE_CHECKING:
    from toccata.decoder.lora import LoraConfig
    from toccata.finetuning.options import FinetuneOptions
    from toccata.finetuning.run import Outcome, RunConfig, Trial

train = typer.Typer(no_args_is_help=True, help="Fine-tune a model on a folder of music.")

_EXAMPLES = """
A run goes on where it stopped, by the same command. Examples:

  toccata train lora --data my-music --trigger "my style" -o style.safetensors

  toccata generate "my style, calm piano" --lora style.safetensors

  toccata train full --data my-music --base small --minutes 600 -o my-model

  torchrun --nproc-per-node 4 -m toccata train full --data my-music --base medium -o my-model
"""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The options of both commands: a field's annotation is its flag."""

    data: Annotated[Path, typer.Option(help="Folder of music, with captions if there are any.")]
    output: Annotated[Path, typer.Option("--output", "-o", help="File or folder to write.")]
    base: Annotated[
        str,
        typer.Option(
            help="Model to start from: name, hub id or folder.",
            autocompletion=completion.models,
        ),
    ] = "mini"
    config: Annotated[
        Path | None, typer.Option(help="YAML file with training options. Flags override it.")
    ] = None
    trigger: Annotated[
        str | None,
        typer.Option(help="Words put before every caption, which later prompts call it by."),
    ] = None
    keep: Annotated[
        int | None,
        typer.Option(
            min=0, help="Clips of the model's own to train on as well, to preserve what it can do."
        ),
    ] = None
    steps: Annotated[
        int | None, typer.Option(min=1, help="Default: 1000, or as many as --minutes allows.")
    ] = None
    minutes: Annotated[
        float | None, typer.Option(help="Time limit, by which the learning rate has fallen.")
    ] = None
    batch: Annotated[
        int | None, typer.Option(min=1, help="Items in a batch on each device. Default: 4.")
    ] = None
    accumulate: Annotated[
        int | None, typer.Option(min=1, help="Batches for each step. Default: 1.")
    ] = None
    lr: Annotated[
        float | None,
        typer.Option(help="Learning rate. Default: 5e-4 for lora, 2e-5 for full."),
    ] = None
    patience: Annotated[
        int | None,
        typer.Option(help="Validations without progress before it stops. Default: 5; 0: no limit."),
    ] = None
    validate_every: Annotated[
        int | None, typer.Option(min=1, help="Steps between two validations. Default: 50.")
    ] = None
    seed: Annotated[int | None, typer.Option(min=0, help="Default: 0.")] = None
    precision: Annotated[
        str | None,
        typer.Option(
            help="fp32, bf16, fp16. Default: by device.",
            autocompletion=completion.of(("fp32", "bf16", "fp16")),
        ),
    ] = None
    recompute: Annotated[
        bool | None,
        typer.Option("--recompute", help="Use less memory, and a third more time."),
    ] = None
    captions: Annotated[
        Path | None, typer.Option(help="CSV file with the columns file and caption.")
    ] = None
    devocalise: Annotated[
        bool, typer.Option("--devocalise", help="Remove vocals from the music first.")
    ] = False
    auto_tags: Annotated[
        bool, typer.Option(help="Add tempo and key to captions that name none.")
    ] = True
    segment_s: Annotated[
        float | None,
        typer.Option(
            "--segment-s",
            help="Length of a chunk of music. Default: the model's window, 10 s of mini, "
            "30 s of most.",
        ),
    ] = None
    hop_s: Annotated[
        float | None,
        typer.Option("--hop-s", help="Time from chunk to chunk. Default: no overlap."),
    ] = None
    shortest_s: Annotated[
        float, typer.Option("--shortest-s", help="Minimum length of a file's last chunk.")
    ] = 2.0
    held_out: Annotated[
        float, typer.Option("--held-out", help="Share of the files that is for validation.")
    ] = 0.1
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Train two steps and report time and memory of a run."),
    ] = False
    device: flags.Device = None
    offline: flags.Offline = None
    json: flags.Json = False


@dataclass(frozen=True, kw_only=True)
class LoraFlags(Flags):
    """Those of `train lora`."""

    rank: Annotated[
        int | None, typer.Option(min=1, help="Rank of the weight updates. Default: 16.")
    ] = None
    alpha: Annotated[
        float | None, typer.Option(help="Updates are scaled by alpha / rank. Default: the rank.")
    ] = None
    targets: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME",
            help="attention, ffn, conditions. Default: the first two.",
            autocompletion=completion.lists_of(("attention", "ffn", "conditions")),
        ),
    ] = None


def _add_command(kind: str, declared: type[Flags], summary: str) -> None:
    """Add `toccata train KIND` with the flags that a class declares."""

    def command(**values: Any) -> None:
        _start(kind, declared(**values))

    # typer reads flags from the signature.
    vars(command)["__signature__"] = inspect.signature(declared, eval_str=True)
    train.command(kind, help=summary, epilog=_EXAMPLES)(command)


_add_command("lora", LoraFlags, "Learn a style as a small file to add to a model.")
_add_command("full", Flags, "Train all of a model, into a folder that loads by its path.")

# Flags that are training options of the same name.
_TRAINING = (
    "trigger", "steps", "minutes", "batch", "accumulate", "lr", "patience", "validate_every",
    "seed", "precision", "recompute", "keep",
)  # fmt: skip


def _start(kind: str, given: Flags) -> None:
    config = _run_config(kind, given)
    if not config.output.name:  # as of "." and "/"
        raise InputError("output", str(config.output), "name what is to be written")
    check_can_be_made(config.output.parent, "output")  # before hours of training
    from toccata.finetuning.run import finetune, trial

    with working("training") as advance:
        # What a run logs is its progress, for when nobody watches the bar.
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
        if given.dry_run:
            _show_trial(trial(config, advance), json=given.json)
            return
        outcome = finetune(config, advance)
    if outcome.first:
        _show_outcome(outcome, json=given.json)


def _run_config(kind: str, given: Flags) -> RunConfig:
    from toccata.finetuning.dataset import FolderOptions
    from toccata.finetuning.run import RunConfig

    machine = settings.read(device=given.device, offline=given.offline)
    options = _options(kind, given)
    return RunConfig(
        data=given.data,
        base=given.base,
        output=given.output,
        options=options,
        folder=FolderOptions(
            segment_s=given.segment_s or 0.0,
            hop_s=given.hop_s,
            shortest_s=given.shortest_s,
            captions=given.captions,
            devocalise=given.devocalise,
            auto_tags=given.auto_tags,
            held_out_share=given.held_out,
            seed=options.seed,
        ),
        device=machine.device,
        offline=machine.offline,
        version=__version__,
    )


def _options(kind: str, given: Flags) -> FinetuneOptions:
    """Those of the file, overridden by flags."""
    from toccata.finetuning.config_file import load_config
    from toccata.finetuning.options import FinetuneOptions

    file = given.config
    options = FinetuneOptions() if file is None else load_config(file, FinetuneOptions)
    named = {name: value for name in _TRAINING if (value := getattr(given, name)) is not None}
    size = _lora(options.lora, given) if isinstance(given, LoraFlags) else options.lora
    return replace(options, kind=kind, lora=size, **named)


def _lora(config: LoraConfig, given: LoraFlags) -> LoraConfig:
    """The size of the updates; alpha follows a rank that is set alone."""
    named: dict[str, Any] = {}
    if given.rank is not None:
        named |= {"rank": given.rank, "alpha": float(given.rank)}
    if given.alpha is not None:
        named["alpha"] = given.alpha
    if given.targets is not None:
        named["targets"] = tuple(given.targets.split(","))
    for name, value in named.items():
        config = _changed(config, name, value)
    return config


def _changed(config: LoraConfig, name: str, value: Any) -> LoraConfig:
    from toccata.decoder.lora import MAX_ALPHA, MAX_RANK, TARGETS
    from toccata.errors import CheckpointError

    cures = {
        "rank": f"use a whole number from 1 to {MAX_RANK}",
        "alpha": f"use a number above 0 and at most {MAX_ALPHA:g}",
        "targets": f"name some of {', '.join(TARGETS)}",
    }
    try:
        return replace(config, **{name: value})
    except CheckpointError as error:
        shown = ",".join(value) if name == "targets" else value
        raise InputError(name, shown, cures[name]) from error


def _show_outcome(outcome: Outcome, *, json: bool) -> None:
    if json:
        show_json({**asdict(outcome), "path": str(outcome.path), "run": str(outcome.run)})
        return
    held = "" if outcome.held_out is None else f", held out {outcome.held_out:.3f} nats"
    say(f"{outcome.steps} steps, the best at {outcome.best_step}{held}; losses in {outcome.run}")
    show(str(outcome.path))


def _show_trial(trial: Trial, *, json: bool) -> None:
    from toccata.benchmark.machine import peak_bytes

    peak_gb = peak_bytes(trial.device) / 1e9
    if json:
        show_json({**asdict(trial), "device": str(trial.device), "peak_gb": peak_gb})
        return
    say(trial.summary)
    show(
        f"{trial.trained / 1e6:.2f} M weights trained on {trial.device} in {trial.precision}: "
        f"{trial.step_s:.2f} s per step, {peak_gb:.2f} GB at most"
    )
