"""Write the tables and plots of docs/lab/performance.md from docs/lab/performance/results.json.

A table is between `<!-- name -->` and `<!-- /name -->`; the rest is written by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.plots import svg
from bench.sections import SECTIONS

DOCS = Path(__file__).parent.parent / "docs" / "lab"
DOCUMENT, FOLDER = DOCS / "performance.md", DOCS / "performance"
RESULTS = FOLDER / "results.json"

Results = Mapping[str, Mapping[str, Any]]
"""For each section `machine`, the result of `about.describe`, and `found`, the measurements."""


def read() -> dict[str, Any]:
    results: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return results


def save(results: Results) -> None:
    text = json.dumps(results, indent=1, ensure_ascii=False)
    RESULTS.write_text(text + "\n", encoding="utf-8")


def files(results: Results) -> dict[Path, str]:
    """Return the contents of all files that are generated from results."""
    contents = {DOCUMENT: filled(DOCUMENT.read_text(encoding="utf-8"), results)}
    for name, one in results.items():
        for file, chart in SECTIONS[name].charts(one["found"]).items():
            contents[FOLDER / file] = svg(chart)
    return contents


def filled(text: str, results: Results) -> str:
    """Generate the part of every section in a text."""
    for name in SECTIONS:
        parts = re.split(rf"(<!-- /?{name} -->\n)", text)
        if len(parts) != 5:
            raise SystemExit(f"{DOCUMENT.name}: it needs <!-- {name} --> and <!-- /{name} --> once")
        parts[2] = f"\n{part(name, results)}\n\n"
        text = "".join(parts)
    return text


def part(name: str, results: Results) -> str:
    if name not in results:
        return f"Not measured yet: `python -m bench {name}`."
    section, one = SECTIONS[name], results[name]
    pictures = [f"![{chart.y_label} by {chart.x_label}](performance/{file})"
                for file, chart in section.charts(one["found"]).items()]  # fmt: skip
    return "\n\n".join([section.table(one["found"]), *pictures, _origin(one["machine"])])


def _origin(machine: Mapping[str, str]) -> str:
    return (
        f"*{machine['cores']} cores of {machine['processor']}, torch {machine['torch']}, "
        f"transformers {machine['transformers']}, at {machine['commit']}*"
    )


def write(results: Results) -> None:
    for path, text in files(results).items():
        path.write_text(text, encoding="utf-8")


def stale(results: Results) -> list[Path]:
    """Return the files that are out of date."""
    contents = files(results)
    return [p for p, text in contents.items() if not p.exists() or p.read_text("utf-8") != text]
