"""Systems side by side: each run in a fresh process, by turns, and the medians of it."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.child import in_child
from bench.machine import Bandwidth
from bench.task import Measured

OURS = "toccata"

Figures = dict[str, float]


@dataclass(frozen=True)
class Speed:
    """What to measure: one shape or one model, by the systems named."""

    seconds: float
    precisions: Sequence[str]
    runs: int
    shape: str | None = None
    model: str | None = None
    peers: Sequence[str] = ()

    @property
    def title(self) -> str:
        subject = f"The shape of {self.shape}" if self.shape else f"The model {self.model}"
        return f"{subject}, {self.seconds:g} s of audio, {self.runs} runs"

    @property
    def systems(self) -> list[tuple[str, str]]:
        """Names and precisions; those that are compared stand, and run, next to each other."""
        return [(name, precision) for precision in self.precisions for name in (OURS, *self.peers)]

    @property
    def subject(self) -> dict[str, str]:
        return {"shape": self.shape} if self.shape else {"model": self.model or ""}


@dataclass(frozen=True)
class Row:
    """A system's medians, and the runs that they are of."""

    system: str
    precision: str
    medians: Figures
    runs: list[Measured]


@dataclass(frozen=True)
class Ratio:
    """Our medians divided by a peer's of the same precision."""

    label: str
    precision: str
    figures: Figures


@dataclass(frozen=True)
class Result:
    """What a `Speed` found; bandwidth is the machine's, at the same time and with the threads."""

    title: str
    bandwidth_gb_per_s: float
    threads: int
    rows: list[Row]
    ratios: list[Ratio]


def run(speed: Speed) -> Result:
    """All systems by turns, A B A B, so that a change of the machine's mood meets them all."""
    runs: dict[tuple[str, str], list[Measured]] = {system: [] for system in speed.systems}
    bandwidths: list[Bandwidth] = []
    for number in range(speed.runs):
        bandwidths.append(in_child("bandwidth"))
        for system, precision in speed.systems:
            say(f"{speed.title}: run {number + 1}, {system} {precision}")
            figures = in_child(system, precision=precision, seconds=speed.seconds, **speed.subject)
            runs[system, precision].append(figures)
    bandwidth = statistics.median(one["gb_per_s"] for one in bandwidths)
    rows = [Row(*system, medians(of, bandwidth), of) for system, of in runs.items()]
    threads = bandwidths[0]["threads"]
    return Result(speed.title, bandwidth, threads, rows, list(ratios(rows)))


def medians(runs: Sequence[Any], bandwidth_gb_per_s: float) -> Figures:
    """Of each figure, and how much of the machine's bandwidth the steps use."""
    figures = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    return {**figures, "bandwidth_share": figures["gb_per_s"] / bandwidth_gb_per_s}


def ratios(rows: Sequence[Row]) -> Iterator[Ratio]:
    ours = {row.precision: row.medians for row in rows if row.system == OURS}
    for row in rows:
        if row.system != OURS:
            own = ours[row.precision]
            figures = {name: own[name] / theirs for name, theirs in row.medians.items()}
            yield Ratio(f"{OURS} / {row.system}", row.precision, figures)


def say(what: str) -> None:
    """Progress, out of the way of the results."""
    print(what, file=sys.stderr, flush=True)
