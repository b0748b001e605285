"""Format results as Markdown, with one function for each section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toccata.benchmark.report import COLUMNS

MISSING = "-"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table with aligned columns."""
    lines = [heads, *rows]
    widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in (heads, rule, *rows)
    )


def speed(found: Mapping[str, Any]) -> str:
    """Format the rows of `toccata bench`; values that were not measured are "-"."""
    heads = ["system", "precision", *(head for head, _ in COLUMNS.values())]
    rows = [
        [
            row["system"],
            row["precision"],
            *(_cell(row.get(name), form) for name, (_, form) in COLUMNS.items()),
        ]
        for row in found["rows"]
    ]
    bandwidth = found["bandwidth_gb_per_s"]
    if bandwidth is None:
        return table(heads, rows)
    read = f"Memory was read at {bandwidth:.1f} GB/s by {found['threads']} threads."
    return f"{table(heads, rows)}\n\n{read}"


def _cell(value: float | None, form: str) -> str:
    return MISSING if value is None else form.format(value)


def quality(found: Mapping[str, Any]) -> str:
    precisions = list(dict.fromkeys(name for one in found.values() for name in one))
    rows = [
        [_subject(subject), *(_pair(by_precision[name]) for name in precisions)]
        for subject, by_precision in found.items()
    ]
    return table(["", *precisions], rows)


def _pair(figures: Mapping[str, float]) -> str:
    nats = f"{figures['kl_nats']:.5f}".rstrip("0")
    return f"{nats}, {figures['greedy_agreement']:.3f}"


def _subject(name: str) -> str:
    return f"`{name}`" if name == "mini" else f"{name}'s shape"


def startup(found: Mapping[str, float]) -> str:
    rows = [
        ["`toccata --help`", f"{found['help_s']:.2f} s"],
        ["`toccata generate`, to a written 8 s file", f"{found['generate_s']:.1f} s"],
    ]
    return table(["from process start", "takes"], rows)


def memory(found: Mapping[str, float]) -> str:
    head = f"memory after {found['generations']} generations in one process"
    return table([head, "grows by"], [["`mini`", f"{found['growth_percent']:.3f} %"]])


def server(found: Mapping[str, Any]) -> str:
    heads = ["", "own clocks, p50", "p99", "same moment, p50", "p99"]
    rows = [
        [label, *(f"{found[key][way][p]:.1f}" for way in WAYS for p in ("p50_ms", "p99_ms"))]
        for label, key in BESIDE.items()
    ]
    alone, together = found["s_per_clip_alone"], found["s_per_clip_of_32"]
    gained = (
        f"An 8 s clip takes {alone:.1f} s alone, and {together:.2f} s of 32 that are made at once: "
        f"{found['faster']:.1f} times faster."
    )
    return f"{table(heads, rows)}\n\n{gained}"


WAYS = ("spread", "at_once")
BESIDE = {
    "beside an idle engine": "get_beside_idle_engine",
    "beside a full engine": "get_beside_full_engine",
}


def concurrency(found: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    heads = ["model", "clips at once", "of", "ms per step", "s of audio per s"]
    rows = [
        [
            _subject(subject),
            f"{point['clips']}",
            f"{point['clip_s']:g} s",
            f"{point['ms_per_step']:.1f}",
            f"{point['times_real_time']:.2f}",
        ]
        for subject, points in found.items()
        for point in points
    ]
    return table(heads, rows)


def fairness(found: Mapping[str, Mapping[str, float]]) -> str:
    latency, gap = found["latency"], found["gap"]
    rows = [
        [f"`mini`: a clip of {latency['clip_s']:g} s alone", f"{latency['alone_s']:.2f} s"],
        [f"the same beside one of {latency['long_s']:g} s", f"{latency['beside_long_s']:.2f} s"],
        ["small's shape: a step of a running stream", f"{gap['usual_ms']:.0f} ms"],
        [
            f"its longest wait while {gap['known_s']:g} s to carry on are prefilled, "
            f"{gap['chunk']:g} positions at a time",
            f"{gap['longest_ms']:.0f} ms",
        ],
    ]
    return table(["", "takes"], rows)


def duration(found: Sequence[Mapping[str, float]]) -> str:
    rows = [
        [
            f"{cost['duration_s'] / 60:g}",
            f"{cost['steps_per_s']:.0f}",
            f"{cost['peak_rss_mb']:.0f}",
        ]
        for cost in found
    ]
    return table(["minutes", "steps per s", "peak RSS, MB"], rows)
