"""The sections of docs/lab/performance.md, with the functions that measure and format them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bench import concurrency, duration, fairness, server, startup, tables
from bench.plots import Chart
from toccata.benchmark import speed
from toccata.benchmark.child import in_child
from toccata.benchmark.peers import PEERS

PRECISIONS = ("fp32", "bf16", "int8", "int4")
PEER = "transformers"


def _nothing(_: Any) -> dict[str, Chart]:
    return {}


@dataclass(frozen=True)
class Section:
    """A section of the document.

    Attributes:
        measure: Measures; returns values for JSON.
        quick: Does the same in a few seconds, as a test.
        table: Formats the results as a table.
        charts: Draws the charts, by file name.
    """

    measure: Callable[[], Any]
    quick: Callable[[], Any]
    table: Callable[[Any], str]
    charts: Callable[[Any], Mapping[str, Chart]] = _nothing


def _speed(plan: speed.Plan) -> dict[str, Any]:
    result = speed.run(plan, lambda *_: None)
    found = asdict(result)
    found.pop("profiles")
    return found


def _small(seconds: float) -> dict[str, Any]:
    peers = [(PEER, precision) for precision in PEERS[PEER].usual]
    return _speed(speed.Plan(seconds=seconds, shape="small", precisions=PRECISIONS, peers=peers))


def _mini(seconds: float, runs: int) -> dict[str, Any]:
    return _speed(speed.Plan(seconds=seconds, model="mini", precisions=PRECISIONS, runs=runs))


def _quality(seconds: float) -> dict[str, Any]:
    lengths = {"mini": seconds, "small": seconds / 4}
    return {
        subject: in_child("bench.quality:measure", subject=subject, seconds=length)
        for subject, length in lengths.items()
    }


def _memory(generations: int) -> Any:
    return in_child("bench.memory:measure", model="mini", generations=generations)


def _server() -> dict[str, Any]:
    with server.server():
        return asyncio.run(server.measure())


def _concurrency_charts(found: Any) -> dict[str, Chart]:
    lines = {
        subject: [(point["clips"], point["times_real_time"]) for point in points]
        for subject, points in found.items()
    }
    return {"concurrency.svg": Chart("clips at once", "seconds of audio per second", lines)}


def _duration_charts(found: Any) -> dict[str, Chart]:
    def line(figure: str) -> dict[str, list[tuple[float, float]]]:
        return {"mini": [(cost["duration_s"] / 60, cost[figure]) for cost in found]}

    return {
        "duration-speed.svg": Chart("minutes of music", "steps per second", line("steps_per_s")),
        "duration-memory.svg": Chart("minutes of music", "peak RSS, MB", line("peak_rss_mb")),
    }


SECTIONS = {
    "small": Section(lambda: _small(10), lambda: _small(0.5), tables.speed),
    "mini": Section(lambda: _mini(8, 3), lambda: _mini(0.5, 1), tables.speed),
    "quality": Section(lambda: _quality(8), lambda: _quality(2), tables.quality),
    "startup": Section(startup.measure, lambda: startup.measure(runs=1), tables.startup),
    "memory": Section(lambda: _memory(100), lambda: _memory(11), tables.memory),
    "server": Section(_server, _server, tables.server),
    "concurrency": Section(
        concurrency.both,
        lambda: concurrency.both((1, 2), share=0.25),
        tables.concurrency,
        _concurrency_charts,
    ),
    "fairness": Section(fairness.both, lambda: fairness.both(1, 4), tables.fairness),
    "duration": Section(
        duration.all_of, lambda: duration.all_of((1, 2)), tables.duration, _duration_charts
    ),
}
