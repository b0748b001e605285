"""Format results as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from toccata.benchmark.speed import OURS, Plan, Result, Row

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

# The head of each figure's column, and its format.
COLUMNS = {
    "ms_per_step": ("ms per step", "{:.1f}"),
    "times_real_time": ("x real time", "{:.2f}"),
    "gb_per_s": ("GB/s", "{:.1f}"),
    "bandwidth_share": ("of bandwidth", "{:.0%}"),
    "first_audio_s": ("first audio, s", "{:.2f}"),
    "peak_rss_mb": ("peak, MB", "{:.0f}"),
    "weights_mb": ("weights, MB", "{:.0f}"),
}


def report(plan: Plan, result: Result) -> Iterator[RenderableType]:
    """Yield the parts of the report."""
    yield _title(plan, result)
    yield _systems(result)
    yield from comparisons(result.rows)
    for precision, profile in result.profiles.items():
        yield f"Where the time of a clip goes, {precision}:"
        yield _shares(profile["clip"])
        yield f"Where the time of an LM step goes, {precision}:"
        yield _shares(profile["step"])


def cells(row: Row) -> list[str]:
    """Format a row as text, in the order of COLUMNS."""
    figures: Mapping[str, Any] = row
    return [form.format(figures[name]) for name, (_, form) in COLUMNS.items()]


def comparisons(rows: list[Row]) -> Iterator[str]:
    """Compare the time of each of our precisions with that of each peer."""
    for own in rows:
        for other in rows:
            if own["system"] == OURS and other["system"] != OURS:
                share = own["ms_per_step"] / other["ms_per_step"]
                faster = own["times_real_time"] / other["times_real_time"]
                yield (
                    f"{OURS} {own['precision']} beside {other['system']} {other['precision']}: "
                    f"{share:.2f} of the time per step, {faster:.1f} times as fast in all"
                )


def _systems(result: Result) -> Table:
    """Return a table with a column for each system, because the figures are too many for a row."""
    table = _table()
    table.add_column("")
    for row in result.rows:
        table.add_column(f"{row['system']}\n{row['precision']}", justify="right")
    columns = [cells(row) for row in result.rows]
    for (head, _), *figures in zip(COLUMNS.values(), *columns, strict=True):
        table.add_row(head, *figures)
    return table


def _title(plan: Plan, result: Result) -> str:
    subject = f"the shape of {plan.shape}, random weights" if plan.shape else str(plan.model)
    runs = f", median of {plan.runs} runs" if plan.runs > 1 else ""
    return (
        f"{subject}: {plan.seconds:g} s of audio on {result.rows[0]['device']}{runs}\n"
        f"its memory is read at {result.bandwidth_gb_per_s:.1f} GB/s"
    )


def _shares(spent_ms: Mapping[str, float]) -> Table:
    table, total_ms = _table(), sum(spent_ms.values())
    table.add_column("part")
    table.add_column("ms", justify="right")
    table.add_column("share", justify="right")
    for part, ms in spent_ms.items():
        table.add_row(part, f"{ms:.2f}", f"{ms / total_ms:.0%}")
    return table


def _table() -> Table:
    from rich.table import Table

    return Table()
