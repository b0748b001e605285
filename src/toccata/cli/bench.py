"""The command `toccata bench`, which measures the speed of models and of other systems."""

from __future__ import annotations

import io
import sys
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toccata import settings
from toccata.cli import completion, flags
from toccata.cli.models import fetch
from toccata.cli.report import show_costly, working
from toccata.settings import PRECISIONS

if TYPE_CHECKING:
    from toccata.benchmark.speed import Plan, Result

EXAMPLES = """
Examples:

  toccata bench

  toccata bench --model melody --device cuda --profile

  toccata bench --shape small --precision int8,bf16 --compare transformers --json

  toccata bench --shape small --compare transformers:bf16,transformers:fp32 --runs 3
"""

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Short name, hub id or folder of a model. Default: mini.",
        autocompletion=completion.models,
    ),
]
Shape = Annotated[
    str | None,
    typer.Option(
        help="Measure random weights of this checkpoint's shape, for example small.",
        autocompletion=completion.shapes,
    ),
]
Precisions = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,NAME",
        help="Precisions: fp32, bf16, fp16, int8 or int4 (experimental). Default: by machine.",
        autocompletion=completion.lists_of(PRECISIONS[1:]),
    ),
]
Compare = Annotated[
    str | None,
    typer.Option(
        metavar="PEER,PEER",
        help="Also measure another system, with --shape: transformers in fp32 (its default) and "
        "bf16, or transformers:PRECISION.",
        autocompletion=completion.lists_of(("transformers",)),
    ),
]
Seconds = Annotated[
    float, typer.Option(help="Seconds of audio, from 0.5 to 600; with --compare at most 30.")
]
Runs = Annotated[
    int, typer.Option(help="Number of runs of each system, in turns; results are medians.")
]
Profile = Annotated[
    bool, typer.Option("--profile", help="Also show the time of each stage and part.")
]
Json = Annotated[bool, typer.Option("--json", help="Write a list of JSON objects to stdout.")]


def bench(
    *,
    model: Model = None,
    shape: Shape = None,
    precision: Precisions = None,
    compare: Compare = None,
    seconds: Seconds = 10.0,
    runs: Runs = 1,
    profile: Profile = False,
    device: flags.Device = None,
    json: Json = False,
    offline: flags.Offline = None,
) -> None:
    """Measure speed and memory, with each system in a separate process.

    ms per step: language model and sampling, for one frame of 20 ms. x real time: seconds of
    audio generated per second, from the prompt to the written file. GB/s: weights that a step
    reads, divided by its time, and as a share of the memory's bandwidth. First audio: time until
    playback can start. Peak: memory of the process (on a GPU: of the GPU) during loading and
    generation.
    """
    from toccata.benchmark.peers import chosen
    from toccata.benchmark.speed import Plan

    machine = settings.read(model=model, device=device, offline=offline)
    precisions = [None] if precision is None else precision.split(",")
    plan = Plan(
        seconds=seconds,
        shape=shape,
        model=model if shape else machine.model,
        precisions=[settings.read(precision=one).precision for one in precisions],
        peers=chosen(compare) if compare else (),
        runs=runs,
        device=machine.device,
        profile=profile,
    )
    if plan.model and not Path(plan.model).is_dir():
        fetch(plan.model, offline=machine.offline)
    result = _measured(plan)
    if json:
        show_costly(dumps(result.to_json(), ensure_ascii=False), "bench.json")
    else:
        show_costly(_tables(plan, result), "bench.txt")


def _measured(plan: Plan) -> Result:
    from toccata.benchmark import speed

    with working("measuring") as advance:
        return speed.run(plan, lambda label, done, total: advance(done, total, label))


def _tables(plan: Plan, result: Result) -> str:
    from rich.console import Console

    from toccata.benchmark.report import report

    # It is formatted in memory, so that it is not lost if stdout cannot be written.
    written = io.StringIO()
    width, is_terminal = Console().width, sys.stdout.isatty()
    console = Console(file=written, width=width, force_terminal=is_terminal)
    for piece in report(plan, result):
        console.print(piece)
    return written.getvalue().rstrip("\n")
