"""What is written about an evaluation: the table says who passes, the plots can be opened."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from recipes.mini.evaluation import report_folder, targets
from recipes.mini.evaluation.guidance import Guided
from recipes.mini.evaluation.points import Points
from recipes.mini.evaluation.report import Report

GOOD = Report(
    model="mini",
    guidance_used=3.0,
    tempo_accuracy=0.9,
    key_accuracy=0.8,
    key_scale_accuracy=0.9,
    drums_accuracy=0.97,
    instrument_accuracy=0.85,
    genre_accuracy=0.7,
    chroma_right=0.66,
    chroma_wrong=0.2,
    continuation_key_accuracy=0.85,
    continuation_key_scale_accuracy=0.9,
    continuation_tempo_accuracy=0.9,
    frechet_ratio=2.0,
    frechet_codec_ratio=1.4,
    steady_accuracy=0.975,
    seam={"rank": 0.51, "low": 0.48, "high": 0.54, "songs_rank": 0.5, "detectable": False},
    guidance={
        "1": Guided(0.6, 0.0, {"tempo_accuracy": 0.7}),
        "3": Guided(0.8, 0.0, {"tempo_accuracy": 0.9}),
        "6": Guided(0.82, 0.01, {"tempo_accuracy": 0.9}),
    },
    frechet={"made": 2.0, "coded": 1.4, "halves": 1.0},
    steady={},
    codec_si_sdr_db=9.0,
    codec_mel_l1=0.1,
    lm_loss_by_codebook=(4.0, 5.0),
    unhealthy=0,
    clips={},
    seeds={},
    seconds_made=100.0,
    tagger={"genre": {"clean": 0.9, "coded": 0.9}},
    ceiling={"tempo_accuracy": 0.98},
)
POINTS = Points(
    tempi=[(100.0, 101.0), (90.0, 180.0)],
    keys=[((0, "major"), (7, "major"))],
    genres=[("rock", "rock"), ("rock", "drum & bass")],
    families=[("piano", "mallet")],
    chroma=((0.7, 0.8), (0.1, 0.2)),
    thirds=[(-14.0, -14.5)],
    flux=([0.1, 0.3, 0.1], [0.1, 0.2, 0.1]),
)


def test_a_good_model_passes_every_bar() -> None:
    assert all(line.passed for line in targets.results(GOOD))
    text = targets.table(GOOD)
    assert "| 90.0 % | at least 85.0 % | 98.0 % | pass |" in text
    assert "fail" not in text


@pytest.mark.parametrize(
    "flaw",
    [
        {"tempo_accuracy": 0.84},
        {"key_accuracy": 0.69},
        {"drums_accuracy": 0.94},
        {"instrument_accuracy": 0.79},
        {"genre_accuracy": 0.59},
        {"continuation_key_accuracy": 0.79},
        {"continuation_tempo_accuracy": 0.79},
        {"frechet_ratio": 2.6},
        {"steady_accuracy": 0.94},
        {"chroma_wrong": 0.23},
        {"seam": {**GOOD.seam, "low": 0.51, "detectable": True}},
        {"guidance": {**GOOD.guidance, "1": GOOD.guidance["6"]}},
    ],
)
def test_one_flaw_is_one_failure(flaw: dict[str, object]) -> None:
    lines = targets.results(replace(GOOD, **flaw))  # type: ignore[arg-type]
    assert [line.passed for line in lines].count(False) == 1


def test_the_folder_holds_figures_table_and_plots(tmp_path: Path) -> None:
    paths = report_folder.write(tmp_path / "evaluation", GOOD, POINTS)
    figures = json.loads((tmp_path / "evaluation" / "report.json").read_text())
    assert figures["tempo_accuracy"] == 0.9
    assert figures["points"]["tempi"] == [[100.0, 101.0], [90.0, 180.0]]
    assert (tmp_path / "evaluation" / "table.md").read_text() == targets.table(GOOD)
    drawn = [path for path in paths if path.suffix == ".svg"]
    assert len(drawn) == 8
    for path in drawn:
        assert ElementTree.fromstring(path.read_text()).tag.endswith("svg")  # noqa: S314


def test_plots_say_what_they_show(tmp_path: Path) -> None:
    report_folder.write(tmp_path, GOOD, POINTS)
    assert "detected tempo, bpm" in (tmp_path / "tempo.svg").read_text()
    assert "drum &amp; bass" in (tmp_path / "genres.svg").read_text()
    assert "degenerate" in (tmp_path / "guidance.svg").read_text()
    clips = ElementTree.fromstring((tmp_path / "tempo.svg").read_text()).find(".//*[@id='clips']")  # noqa: S314
    assert clips is not None
    assert len([dot for dot in clips.iter() if dot.tag.endswith("}use")]) == len(POINTS.tempi)


def test_the_same_points_give_the_same_files(tmp_path: Path) -> None:
    first, second = (report_folder.write(tmp_path / one, GOOD, POINTS) for one in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
