"""`python -m recipes.mini evaluate`: what it is asked, and what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from recipes.mini.evaluation import suite
from tests.cli.conftest import FakeToccata, Result
from tests.mini.evaluation.test_report import GOOD, POINTS

Run = Callable[..., Result]


@pytest.fixture
def asked(fake: FakeToccata, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many clips were asked for; the answer is always the same."""
    clips: list[int] = []

    def evaluate(_: object, count: int, on_stage: Callable[[str], None]) -> suite.Evaluation:
        clips.append(count)
        on_stage("listening")
        return suite.Evaluation(GOOD, POINTS)

    monkeypatch.setattr(suite, "evaluate", evaluate)
    return clips


def test_json_is_one_object_with_every_figure(run: Run, asked: list[int]) -> None:
    result = run("evaluate", "mini", "--json")
    assert asked == [200]
    assert json.loads(result.out) == json.loads(json.dumps(GOOD.to_json()))
    assert "listening" in result.err


def test_a_person_sees_the_table(run: Run, asked: list[int]) -> None:
    result = run("evaluate", "mini", "--clips", "24")
    assert asked == [24]
    assert "| metric | result | target |" in result.out
    assert "frechet_ratio: 2.0" in result.out


def test_a_report_is_a_folder(run: Run, asked: list[int], tmp_path: Path) -> None:
    result = run("evaluate", "mini", "--json", "--report", str(tmp_path / "found"))
    assert (tmp_path / "found" / "report.json").is_file()
    assert "tempo.svg" in result.err


def test_figures_are_there_though_the_report_cannot_be_written(
    run: Run, asked: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("recipes.mini.evaluation.report_folder.write", full)
    result = run("evaluate", "mini", "--json", "--report", str(tmp_path / "found"))
    assert result.code == 1
    assert "No space left" in result.err
    assert json.loads(result.out)["model"] == GOOD.to_json()["model"]


def test_too_few_clips_are_a_wrong_value(run: Run, asked: list[int]) -> None:
    assert run("evaluate", "mini", "--clips", "2").code == 2
    assert asked == []


def test_a_report_is_checked_before_the_half_hour(
    fake: FakeToccata, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("found").mkdir()
    Path("found/report.json").write_text("{}")
    result = run("evaluate", "mini", "--report", "found")
    assert result.code == 2
    assert "--report names found/report.json, which exists already" in result.err
    assert not fake.loaded
