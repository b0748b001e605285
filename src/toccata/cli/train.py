"""`toccata train lora` and `toccata train full`: fine-tune a model on a folder of music."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toccata import __version__, settings
from toccata.cli import completion, flags
from toccata.cli.places import check_can_be_made
from toccata.cli.report import say, show, show_json, working
from toccata.errors import InputError

if TYPE_CHECKING:
    from toccata.finetuning.run import Outcome, RunConfig, Trial

train = typer.Typer(no_args_is_help=True, help="Fine-tune a model on a folder of music.")

_EXAMPLES = """
A run goes on where it stopped, by the same command. Examples:

  toccata train lora --data my-music --trigger "my style" -o style.safetensors

  toccata generate "my style, calm piano" --lora style.safetensors

  toccata train full --data my-music --base small --minutes 600 -o my-model

  torchrun --nproc-per-node 4 -m toccata train full --data my-music --base medium -o my-model
"""

Data = Annotated[Path, typer.Option(help="A folder of music, with words for it if there are any.")]
Base = Annotated[
    str,
    typer.Option(
        help="The model to start from: name, hub id or folder.",
        autocompletion=completion.models,
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="What to write.")]
Config = Annotated[
    Path | None, typer.Option(help="All options of training, as YAML. Flags go before it.")
]
Trigger = Annotated[
    str | None, typer.Option(help="Words put before every caption, to call for it later.")
]
Keep = Annotated[
    int | None,
    typer.Option(min=0, help="Clips of the model's own to learn too, so that the rest stays."),
]
Rank = Annotated[int | None, typer.Option(min=1, help="Of the updates. Default: 16.")]
Alpha = Annotated[float | None, typer.Option(help="How loud they are. Default: the rank.")]
Targets = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,NAME",
        help="attention, ffn, conditions. Default: the first two.",
        autocompletion=completion.lists_of(("attention", "ffn", "conditions")),
    ),
]
Steps = Annotated[int | None, typer.Option(min=1, help="Default: 1000, or as --minutes allows.")]
Minutes = Annotated[float | None, typer.Option(help="Stop by then, learning rate and all.")]
Batch = Annotated[int | None, typer.Option(min=1, help="Items at once on each device. Default: 4.")]
Accumulate = Annotated[int | None, typer.Option(min=1, help="Batches to a step. Default: 1.")]
Rate = Annotated[float | None, typer.Option(help="Default: 5e-4 for lora, 2e-5 for full.")]
Patience = Annotated[
    int | None, typer.Option(help="Looks at held-out music without progress. Default: 5; 0: any.")
]
Every = Annotated[int | None, typer.Option(min=1, help="Steps between two looks. Default: 50.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Default: 0.")]
Precision = Annotated[
    str | None,
    typer.Option(
        help="fp32, bf16, fp16. Default: by machine.",
        autocompletion=completion.of(("fp32", "bf16", "fp16")),
    ),
]
Recompute = Annotated[
    bool | None, typer.Option("--recompute", help="Less memory, for a third more time.")
]
Captions = Annotated[Path | None, typer.Option(help="A CSV with the columns file and caption.")]
Devocalise = Annotated[bool, typer.Option("--devocalise", help="Take the vocals out first.")]
AutoTags = Annotated[bool, typer.Option(help="Add tempo and key to captions that name none.")]
Segment = Annotated[
    float | None,
    typer.Option(
        "--segment-s",
        help="Length of a chunk of music. Default: the model's window, 10 s of mini, 30 s of most.",
    ),
]
Hop = Annotated[
    float | None, typer.Option("--hop-s", help="From chunk to chunk. Default: no overlap.")
]
Shortest = Annotated[float, typer.Option("--shortest-s", help="Of a song's last chunk.")]
HeldOut = Annotated[float, typer.Option("--held-out", help="Share of the files, for validation.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Two steps: say what it would take.")]


@train.command(epilog=_EXAMPLES)
def lora(
    *,
    data: Data,
    output: Output,
    base: Base = "mini",
    rank: Rank = None,
    alpha: Alpha = None,
    targets: Targets = None,
    config: Config = None,
    trigger: Trigger = None,
    keep: Keep = None,
    steps: Steps = None,
    minutes: Minutes = None,
    batch: Batch = None,
    accumulate: Accumulate = None,
    lr: Rate = None,
    patience: Patience = None,
    validate_every: Every = None,
    seed: Seed = None,
    precision: Precision = None,
    recompute: Recompute = None,
    captions: Captions = None,
    devocalise: Devocalise = False,
    auto_tags: AutoTags = True,
    segment_s: Segment = None,
    hop_s: Hop = None,
    shortest_s: Shortest = 2.0,
    held_out: HeldOut = 0.1,
    dry_run: DryRun = False,
    device: flags.Device = None,
    offline: flags.Offline = None,
    json: flags.Json = False,
) -> None:
    """Learn a style as a small file to add to a model."""
    given = locals().copy()  # all flags by name
    _start("lora", given)


@train.command(epilog=_EXAMPLES)
def full(
    *,
    data: Data,
    output: Output,
    base: Base = "mini",
    config: Config = None,
    trigger: Trigger = None,
    keep: Keep = None,
    steps: Steps = None,
    minutes: Minutes = None,
    batch: Batch = None,
    accumulate: Accumulate = None,
    lr: Rate = None,
    patience: Patience = None,
    validate_every: Every = None,
    seed: Seed = None,
    precision: Precision = None,
    recompute: Recompute = None,
    captions: Captions = None,
    devocalise: Devocalise = False,
    auto_tags: AutoTags = True,
    segment_s: Segment = None,
    hop_s: Hop = None,
    shortest_s: Shortest = 2.0,
    held_out: HeldOut = 0.1,
    dry_run: DryRun = False,
    device: flags.Device = None,
    offline: flags.Offline = None,
    json: flags.Json = False,
) -> None:
    """Train all of a model on, into a folder that loads by its path."""
    given = locals().copy()  # all flags by name
    _start("full", given)


# Flags that are options of training by the same name.
_TRAINING = (
    "trigger", "steps", "minutes", "batch", "accumulate", "lr", "patience", "validate_every",
    "seed", "precision", "recompute", "keep",
)  # fmt: skip


def _start(kind: str, given: dict[str, Any]) -> None:
    wanted = _wanted(kind, given)
    if not wanted.output.name:  # as of "." and "/"
        raise InputError("output", str(wanted.output), "name what is to be written")
    check_can_be_made(wanted.output.parent, "output")  # before hours of training
    from toccata.finetuning.run import finetune, trial

    with working("training") as advance:
        # What a run logs is its progress, for when nobody watches the bar.
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
        if given["dry_run"]:
            _tell_trial(trial(wanted, advance), json=given["json"])
            return
        outcome = finetune(wanted, advance)
    if outcome.first:
        _tell(outcome, json=given["json"])


def _wanted(kind: str, given: dict[str, Any]) -> RunConfig:
    from toccata.finetuning.config_file import load_config
    from toccata.finetuning.dataset import FolderOptions
    from toccata.finetuning.options import FinetuneOptions
    from toccata.finetuning.run import RunConfig

    machine = settings.read(device=given["device"], offline=given["offline"])
    config = given["config"]
    options = FinetuneOptions() if config is None else load_config(config, FinetuneOptions)
    named = {name: given[name] for name in _TRAINING if given[name] is not None}
    options = replace(options, kind=kind, lora=_lora(options.lora, given), **named)
    return RunConfig(
        data=given["data"],
        base=given["base"],
        output=given["output"],
        options=options,
        folder=FolderOptions(
            segment_s=given["segment_s"] or 0.0,
            hop_s=given["hop_s"],
            shortest_s=given["shortest_s"],
            captions=given["captions"],
            devocalise=given["devocalise"],
            auto_tags=given["auto_tags"],
            held_out_share=given["held_out"],
            seed=options.seed,
        ),
        device=machine.device,
        offline=machine.offline,
        version=__version__,
    )


def _lora(config: Any, given: dict[str, Any]) -> Any:
    """The size of the updates; alpha follows a rank that is given alone."""
    rank, alpha, targets = (given.get(name) for name in ("rank", "alpha", "targets"))
    named: dict[str, Any] = {} if rank is None else {"rank": rank, "alpha": float(rank)}
    named |= {} if alpha is None else {"alpha": alpha}
    named |= {} if targets is None else {"targets": tuple(targets.split(","))}
    for name, value in named.items():
        config = _changed(config, name, value)
    return config


def _changed(config: Any, name: str, value: Any) -> Any:
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


def _tell(outcome: Outcome, *, json: bool) -> None:
    if json:
        show_json({**asdict(outcome), "path": str(outcome.path), "run": str(outcome.run)})
        return
    held = "" if outcome.held_out is None else f", held out {outcome.held_out:.3f} nats"
    say(f"{outcome.steps} steps, the best at {outcome.best_step}{held}; losses in {outcome.run}")
    show(str(outcome.path))


def _tell_trial(trial: Trial, *, json: bool) -> None:
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
