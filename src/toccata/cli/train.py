"""`toccata train`: the runs that make a model. Each is one config file, and can be resumed."""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from toccata.cli.report import interruptible, show

train = typer.Typer(no_args_is_help=True, help="Train a model of your own.")

_EXAMPLES = """
A run goes on where it stopped. Example:

  toccata train codec --config configs/mini/codec.yaml
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


def _run(module: str, config: Path) -> None:
    # What a run logs is its progress: step, speed, losses.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    with interruptible("training; run it again to go on"):
        show(str(import_module(f"toccata.training.{module}").main(config)))
