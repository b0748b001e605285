"""Results as text: the same tables for the terminal and for a document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.speed import Result
from bench.task import CFG, PROMPT_TOKENS, TOP_K

if TYPE_CHECKING:
    from bench.memory import Growth
    from bench.startup import Startup

# Figure -> the head of its column, and how it is written.
COLUMNS = {
    "ms_per_step": ("ms per step", "{:.1f}"),
    "times_real_time": ("x real time", "{:.2f}"),
    "gb_per_s": ("GB/s", "{:.1f}"),
    "bandwidth_share": ("of bandwidth", "{:.0%}"),
    "first_audio_s": ("first audio, s", "{:.2f}"),
    "peak_rss_mb": ("peak RSS, MB", "{:.0f}"),
}
HEAD = f"""# Performance

Written by `python -m bench --write FILE`; not to be edited. Guidance {CFG:g}, top_k {TOP_K},
a prompt of {PROMPT_TOKENS} tokens, one clip at a time, on the CPU. Each run is a process of its
own, measured after a short warm-up; the systems take turns. Figures are medians.

- ms per step: the LM and sampling, for one frame of 20 ms.
- x real time: seconds of audio made per second, end to end, from the prompt to the samples.
- GB/s: the bytes of weights that a step has to read, over the time of a step; then as a share of
  how fast this machine reads memory.
- first audio: until the first samples can be played. A peer that does not stream gives them at the
  end.
- peak RSS: of the whole process, weights included.
- Ratios are ours divided by theirs: below 1 is better for time and memory, above 1 for the rest.

toccata's codec is float32 in any precision; the peer's follows the precision. Weights that fit into
the processor's caches can be read faster than its memory.
"""


@dataclass(frozen=True)
class Results:
    """Everything that one call of the benchmarks found out."""

    machine: Mapping[str, str]
    speeds: Sequence[Result] = field(default_factory=list)
    startup: Startup | None = None
    memory: Growth | None = None


def document(results: Results) -> str:
    return "\n".join([HEAD, tables(results)])


def tables(results: Results) -> str:
    return "\n\n".join(_sections(results)) + "\n"


def _sections(results: Results) -> Iterator[str]:
    yield "## Machine\n\n" + table(["", ""], list(results.machine.items()))
    for speed in results.speeds:
        yield _speed(speed)
    if results.startup:
        yield "## Start\n\n" + _figures(results.startup, "{:.2f}")
    if results.memory:
        yield "## Memory of a process that goes on\n\n" + _figures(results.memory, "{:.1f}")


def _speed(result: Result) -> str:
    heads = ["system", "precision", *(head for head, _ in COLUMNS.values())]
    systems = [
        [
            row.system,
            row.precision,
            *(form.format(row.medians[name]) for name, (_, form) in COLUMNS.items()),
        ]
        for row in result.rows
    ]
    ratios = [
        [ratio.label, ratio.precision, *(f"{ratio.figures[name]:.2f}x" for name in COLUMNS)]
        for ratio in result.ratios
    ]
    read = f"Memory is read at {result.bandwidth_gb_per_s:.1f} GB/s by {result.threads} threads."
    return f"## {result.title}\n\n{read}\n\n{table(heads, [*systems, *ratios])}"


def _figures(figures: Mapping[str, Any], form: str) -> str:
    rows = [
        [name, str(value) if isinstance(value, int) else form.format(value)]
        for name, value in figures.items()
    ]
    return table(["figure", "value"], rows)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns are aligned, so that it can be read as it is."""
    lines = [heads, *rows]
    widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in (heads, rule, *rows)
    )
