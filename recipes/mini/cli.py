"""`python -m recipes.mini`: the runs that make the model that ships, and its evaluation.

Each run is one config file, and can be resumed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib import import_module
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from toccata import settings
from toccata.cli import completion, flags, session
from toccata.cli.outputs import is_stdout, names, suffix_format
from toccata.cli.places import STDOUT, Place, check_can_be_made, check_folder, check_new, reserve
from toccata.cli.report import interruptible, lines, say, show, show_costly, working
from toccata.cli.results import Finish
from toccata.errors import AudioError

app = typer.Typer(
    help="How mini is made: compose its corpus, train its parts, pack and evaluate it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

_EXAMPLES = """
The same command continues a run that was stopped. Example:

  python -m recipes.mini codec --config configs/mini/codec.yaml
"""

_SONG_EXAMPLES = """
Its caption goes to stderr. Example:

  python -m recipes.mini song --seed 7 --duration 30 -o song.wav
"""

_EVALUATE_EXAMPLES = """
It needs the synthesizer tinysoundfont and a soundfont, because it renders the held-out songs.
For mini it takes a quarter to half an hour on two cores. Examples:

  python -m recipes.mini evaluate mini --json

  python -m recipes.mini evaluate mini --clips 24 --report evaluation
"""

Name = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A short name, hub id or folder.",
        autocompletion=completion.models,
    ),
]
Clips = Annotated[int, typer.Option(min=4, help="Clips per metric.")]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--report", file_okay=False, help="Folder to write metrics, a table and plots to."
    ),
]
Config = Annotated[
    Path, typer.Option(exists=True, dir_okay=False, help="The run: see configs/ for examples.")
]


@app.command(epilog=_EXAMPLES)
def corpus(config: Config) -> None:
    """Compose, render and encode the training music."""
    _run("lm.encode_corpus", config)


@app.command(epilog=_EXAMPLES)
def codec(config: Config) -> None:
    """Train the codec."""
    _run("codec.train_codec", config)


@app.command(epilog=_EXAMPLES)
def lm(config: Config) -> None:
    """Train the language model on the codec's codes."""
    _run("lm.train_lm", config)


@app.command(epilog=_EXAMPLES)
def pack(config: Config) -> None:
    """Put a trained codec and language model into one folder, which loads by its path."""
    _run("pack", config)


@app.command(epilog=_EXAMPLES)
def tagger(config: Config) -> None:
    """Train the tagger and the key classifier, on clean songs and on songs after the codec."""
    _run("tagger.train_tagger", config)


@app.command(epilog=_SONG_EXAMPLES)
def song(
    seed: Annotated[int, typer.Option(min=0, help="Each seed is another song.")] = 0,
    duration: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.02, max=600, help="Where it is cut.")
    ] = 20.0,
    output: flags.Output = None,
    overwrite: flags.Overwrite = False,
    soundfont: Annotated[
        Path | None, typer.Option(help="A General MIDI .sf2. Default: that of the system.")
    ] = None,
) -> None:
    """Compose and render one song of the corpus, to listen to the training music."""
    from recipes.mini.composer.composition import SAMPLE_RATE_HZ
    from recipes.mini.composer.examples import example
    from recipes.mini.composer.render import Renderer
    from toccata.generation.clip import Clip

    output_format = suffix_format(output, None) or "wav"
    place = _place(output, seed, output_format, overwrite)
    reserve([place])
    with working("composing"):
        made = example(seed, duration, Renderer(soundfont))
    song = Clip(made.audio[None], SAMPLE_RATE_HZ, seed, "corpus", made.caption)
    written = place.write(Finish(output_format).encoded(song), output_format)
    say(made.caption)
    if place.path != STDOUT:
        show(str(written.path))
    if written.problem:
        raise AudioError(written.problem)


def _place(output: str | None, seed: int, output_format: str, overwrite: bool) -> Place:
    if is_stdout(output):
        return Place(STDOUT)
    chosen = names(output, 1)
    path = chosen.path(seed, 1, "corpus", output_format)
    return Place(path, overwrite, chosen.is_automatic and not overwrite)


@app.command(epilog=_EVALUATE_EXAMPLES)
def evaluate(
    model: Name = "mini",
    *,
    clips: Clips = 200,
    report: Folder = None,
    overwrite: flags.Overwrite = False,
    lora: flags.Lora = None,
    json: flags.Json = False,
) -> None:
    """Evaluate a model on held-out songs: adherence to captions, melodies and inputs."""
    from recipes.mini.evaluation import report_folder, suite, targets

    machine = settings.read(lora=lora)
    if report is not None:
        _check_report(report, report_folder.NAMES, overwrite=overwrite)
    with session.announcing(machine.device) as announce:
        opened = session.open_model(machine, model, announce)
        with working("measuring"):
            found = suite.evaluate(opened, clips, on_stage=say)
    figures = found.report.to_json()
    lines = [targets.table(found.report), *(f"{name}: {value}" for name, value in figures.items())]
    text = dumps(figures, ensure_ascii=False) if json else "\n".join(lines)
    # First, because what is on stdout is not lost if the report cannot be written.
    show_costly(text, "evaluation.json" if json else "evaluation.txt")
    if report is not None:
        for path in report_folder.write(report, found.report, found.points):
            say(str(path))


def _check_report(report: Path, names: Sequence[str], *, overwrite: bool) -> None:
    """Raises InputError unless the files of a report can be written, before half an hour's work."""
    report.mkdir(parents=True, exist_ok=True)
    check_folder(report, "report")
    for name in names:
        check_new(report / name, "report", overwrite=overwrite)


def _run(module: str, config: Path) -> None:
    # What a run logs is its progress: step, speed, losses.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    _check_out(config)
    with interruptible("training; run it again to go on"), lines("training"):
        show(str(import_module(f"recipes.mini.{module}").main(config)))


def _check_out(config: Path) -> None:
    """Raises InputError unless a run can write where its `out` is, before hours of training.

    All other problems of a config are reported by the run itself.
    """
    from toccata.finetuning.config_file import read_yaml

    values = read_yaml(config)
    out = values.get("out") if isinstance(values, dict) else None
    if isinstance(out, str):
        check_can_be_made(Path(out), "config")
