"""The losses of a run as an SVG, which any browser shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from toccata.finetuning.run_files import Row

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 56, 96, 24, 44
# Readable on light and on dark pages.
INK, GRID = "#808080", "#80808040"
COLOURS = {"training": "#2f7ed8", "held out": "#d9730d"}
MAX_POINTS = 100
LINES = 5


def losses_svg(rows: Sequence[Row]) -> str:
    """Losses in nats by step: of training, averaged over neighbouring steps, and held out."""
    training = [(row["step"], row["loss"]) for row in rows if "loss" in row]
    held = [(row["step"], row["held_out"]) for row in rows if "held_out" in row]
    lines = {"training": _thinned(training), "held out": held}
    body = "\n".join(_body({name: points for name, points in lines.items() if points}))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="12" fill="{INK}">\n{body}\n</svg>\n'
    )


def _thinned(points: Points) -> list[tuple[float, float]]:
    """At most `MAX_POINTS`, each the mean of those it stands for."""
    size = -(-len(points) // MAX_POINTS)
    groups = [points[i : i + size] for i in range(0, len(points), max(size, 1))]
    return [(group[-1][0], sum(y for _, y in group) / len(group)) for group in groups]


def _body(lines: Mapping[str, Points]) -> Iterator[str]:
    every = [point for points in lines.values() for point in points]
    if not every:
        return
    last, low, high = max(x for x, _ in every), min(y for _, y in every), max(y for _, y in every)
    high = high if high > low else low + 1

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * x / max(last, 1)
        return across, TOP + (HEIGHT - TOP - BOTTOM) * (high - y) / (high - low)

    for part in range(LINES):
        y = low + (high - low) * part / (LINES - 1)
        down = place(0, y)[1]
        yield f'<path d="M{LEFT} {down:.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>'
        yield _text(LEFT - 8, down + 4, f"{y:.2f}", "end")
    yield _text(LEFT, HEIGHT - BOTTOM + 18, "0", "middle")
    yield _text(WIDTH - RIGHT, HEIGHT - BOTTOM + 18, f"{last:g}", "middle")
    yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "step", "middle")
    yield _text(4, 14, "nats per code", "start")
    for name, points in lines.items():
        yield from _line(name, [place(x, y) for x, y in points])


def _line(name: str, points: Points) -> Iterator[str]:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    yield f'<path d="M{path}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>'
    x, y = points[-1]
    yield f'<text x="{x + 8:.1f}" y="{y + 4:.1f}" fill="{COLOURS[name]}">{name}</text>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'
