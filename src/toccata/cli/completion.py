"""Shell completion of models, devices and other values."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from toccata.generation.schema import FORMAT, MODEL
from toccata.settings import PRECISIONS

Complete = Callable[[str], list[str]]

MODELS = tuple(name for name in MODEL.choices if name != "encode-decode")
DEVICES = ("cpu", "cuda", "mps")
# Listed here, because importing torch would delay the shell.
MEASURES = ("agreement", "fad-clap", "fad-vggish", "kl-passt", "clap")


def of(values: Sequence[str]) -> Complete:
    """Return a completion of one of several values."""

    def complete(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return complete


def lists_of(values: Sequence[str]) -> Complete:
    """Return a completion of the last value in a list with commas."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [before + comma + value for value in values if value.startswith(last)]

    return complete


def shapes(incomplete: str) -> list[str]:
    """Complete the shapes of `toccata bench`."""
    from toccata.benchmark.shapes import SHAPES

    return of(tuple(SHAPES))(incomplete)


models, devices, precisions = of(MODELS), of(DEVICES), of(PRECISIONS)
measures = lists_of(MEASURES)
formats = of(FORMAT.choices)
