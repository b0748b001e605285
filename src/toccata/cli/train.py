"""`toccata train`: the runs that make a model. Each is one config file, and can be resumed."""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from toccata.cli import finetune, flags
from toccata.cli.outputs import is_stdout, names, suffix_format
from toccata.cli.places import STDOUT, Place, check_can_be_made, reserve
from toccata.cli.report import interruptible, lines, say, show, working
from toccata.cli.results import Finish
from toccata.errors import AudioError

train = typer.Typer(no_args_is_help=True, help="Train a model of your own.")

_EXAMPLES = """
A run goes on where it stopped. Example:

  toccata train codec --config configs/mini/codec.yaml
"""

_SONG_EXAMPLES = """
Its caption goes to stderr. Example:

  toccata train song --seed 7 --duration 30 -o song.wav
"""

Config = Annotated[
    Path, typer.Option(exists=True, dir_okay=False, help="The run: see configs/ for examples.")
]


@train.command(epilog=_EXAMPLES)
def corpus(config: Config) -> None:
    """Compose and render the music to learn from."""
    _run("corpus_run", config)


@train.command(epilog=_EXAMPLES)
def codec(config: Config) -> None:
    """Train the codec."""
    _run("codec_run", config)


@train.command(epilog=_EXAMPLES)
def lm(config: Config) -> None:
    """Train the language model on the codec's codes."""
    _run("lm_run", config)


@train.command(epilog=_EXAMPLES)
def pack(config: Config) -> None:
    """Put a trained codec and language model into one folder, which loads by its path."""
    _run("pack", config)


@train.command(epilog=_EXAMPLES)
def listener(config: Config) -> None:
    """Train the ears that `toccata eval` listens with, on songs heard clean and after the codec."""
    _run("listener_run", config)


@train.command(epilog=_SONG_EXAMPLES)
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
    """Compose and render one song of the corpus, to hear what a model learns from."""
    from toccata.generation.clip import Clip
    from toccata.training.corpus.render import Renderer
    from toccata.training.corpus.song import SAMPLE_RATE_HZ
    from toccata.training.corpus.stream import example

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


train.command(epilog=finetune.EXAMPLES)(finetune.lora)
train.command(epilog=finetune.EXAMPLES)(finetune.full)


def _run(module: str, config: Path) -> None:
    # What a run logs is its progress: step, speed, losses.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    _check_out(config)
    with interruptible("training; run it again to go on"), lines("training"):
        show(str(import_module(f"toccata.training.{module}").main(config)))


def _check_out(config: Path) -> None:
    """Raises InputError unless a run can write where its `out` is, before hours of training.

    Whatever else is wrong with a config, the run itself says.
    """
    from toccata.training.config import read_yaml

    values = read_yaml(config)
    out = values.get("out") if isinstance(values, dict) else None
    if isinstance(out, str):
        check_can_be_made(Path(out), "config")
