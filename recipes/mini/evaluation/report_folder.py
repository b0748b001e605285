"""The folder of a report: report.json, table.md, and the plots."""

from __future__ import annotations

import json
from pathlib import Path

from recipes.mini.evaluation.plots import plots
from recipes.mini.evaluation.points import Points
from recipes.mini.evaluation.report import Report
from recipes.mini.evaluation.targets import table

NAMES = ("report.json", "table.md")  # and the plots


def write(folder: Path, report: Report, points: Points) -> list[Path]:
    """Write all files, over older ones; returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {**report.to_json(), "points": points.to_json()}
    texts = {
        "report.json": json.dumps(figures, indent=1, ensure_ascii=False) + "\n",
        "table.md": table(report),
        **plots(report, points),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]
