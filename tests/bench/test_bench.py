"""That the benchmarks of the repository measure what they say, and that the document shows it."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench import concurrency, duration, fairness, render, tables
from bench.memory import CASES
from bench.memory import measure as measure_memory
from bench.plots import Chart, svg
from bench.sections import SECTIONS

MACHINE = {
    "processor": "an abacus",
    "cores": "2",
    "torch": "2.0",
    "transformers": "5.0",
    "commit": "abc",
}
POINTS = [
    {"clips": clips, "clip_s": 8.0, "ms_per_step": 3.25, "times_real_time": 1.5 * clips}
    for clips in (1, 2, 4)
]


def test_memory_is_measured_over_every_kind_of_request() -> None:
    grown = measure_memory(shape="tiny", generations=len(CASES))
    assert grown["after_warm_up_mb"] > 100
    assert grown["growth_percent"] == 0  # the warm-up is all there is


def test_more_clips_at_once_are_more_audio() -> None:
    one, four = concurrency.measure(shape="tiny", precision="fp32", clips_s=[(1, 0.4), (4, 0.4)])
    assert (one["clips"], four["clips"], four["clip_s"]) == (1, 4, 0.4)
    assert min(one["ms_per_step"], four["ms_per_step"], one["times_real_time"]) > 0


def test_latency_and_gap_are_measured() -> None:
    found = fairness.latency(clip_s=0.2, clips=1, precision="fp32")
    assert min(found["alone_s"], found["beside_long_s"]) > 0
    waited = fairness.gap(known_s=4, precision="fp32", shape="tiny")
    assert min(waited["longest_ms"], waited["usual_ms"], waited["chunk"]) > 0


def test_a_long_clip_is_measured() -> None:
    found = duration.measure(duration_s=0.5, precision="fp32")
    assert found["duration_s"] == 0.5
    assert found["steps_per_s"] > 0
    assert found["peak_rss_mb"] > 100


def test_a_table_is_aligned() -> None:
    assert tables.table(["a", "long"], [["wider", "1"]]).splitlines() == [
        "| a     | long |",
        "| ----- | ---- |",
        "| wider | 1    |",
    ]


def test_what_was_measured_is_in_the_part_with_its_machine() -> None:
    results = {"concurrency": {"machine": MACHINE, "found": {"mini": POINTS}}}
    part = render.part("concurrency", results)
    for expected in ("`mini`", "8 s", "3.2", "6.00", "an abacus", "at abc", "concurrency.svg"):
        assert expected in part
    assert "python -m bench server" in render.part("server", results)


def test_rendering_changes_the_parts_alone_and_twice_is_once() -> None:
    text = "by hand\n" + "".join(f"<!-- {n} -->\nold\n<!-- /{n} -->\nkept {n}\n" for n in SECTIONS)
    once = render.filled(text, {})
    assert "old" not in once
    assert once.startswith("by hand\n")
    assert all(f"kept {name}" in once for name in SECTIONS)
    assert render.filled(once, {}) == once
    with pytest.raises(SystemExit, match="needs <!-- small -->"):
        render.filled("no markers", {})


def test_a_chart_shows_every_line_and_is_the_same_each_time() -> None:
    chart = Chart("clips", "speed", {"mini": [(1, 2.0), (32, 9.0)], "small": [(1, 0.5), (32, 3)]})
    drawn = svg(chart)
    assert svg(chart) == drawn
    root = ET.fromstring(drawn)  # noqa: S314 - our own
    words = {element.text for element in root.iter() if element.text}
    assert {"mini", "small", "clips", "speed", "1", "32", "0", "8"} <= words
    lines = [element for element in root.iter() if element.get("id") in chart.lines]
    dots = [dot for line in lines for dot in line.iter() if dot.tag.endswith("}use")]
    assert len(dots) == 4


def test_a_document_that_is_not_as_its_results_is_stale(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    parts = "".join(f"<!-- {name} -->\n<!-- /{name} -->\n" for name in SECTIONS)
    (tmp_path / "performance.md").write_text(parts)
    monkeypatch.setattr(render, "DOCUMENT", tmp_path / "performance.md")
    monkeypatch.setattr(render, "FOLDER", tmp_path)
    results = {"concurrency": {"machine": MACHINE, "found": {"mini": POINTS}}}
    stale = {path.name for path in render.stale(results)}
    assert stale == {"performance.md", "concurrency.svg"}
    render.write(results)
    assert render.stale(results) == []


def test_the_document_is_up_to_date() -> None:
    command = [sys.executable, "-m", "bench", "--check"]
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    json.loads(render.RESULTS.read_text())
