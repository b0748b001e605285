"""`toccata bench`: what is measured, and what is said about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.benchmark.test_speed import KEYS, row
from tests.cli.conftest import FakeToccata, Result
from toccata.benchmark import speed
from toccata.benchmark.speed import OnRun, Plan

Run = Callable[..., Result]


@pytest.fixture
def asked(fake: FakeToccata, monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """The plans that were to be run; figures are made up."""
    plans: list[Plan] = []

    def made_up(plan: Plan, on_run: OnRun) -> speed.Result:
        plans.append(plan)
        on_run("toccata", 0, 1)
        rows = [row(system, 20.0) for system, _ in plan.systems]
        profiles: Any = {"fp32": {"clip": {"codec": 30.0, "rest": 10.0}, "step": {"rest": 2.0}}}
        return speed.Result(rows, 20.0, 2, profiles if plan.profile else {})

    monkeypatch.setattr(speed, "run", made_up)
    return plans


def test_json_is_one_list_on_stdout_and_nothing_else(asked: list[Plan], run: Run) -> None:
    arguments = "bench --shape small --precision int8 --seconds 10 --compare transformers --json"
    result = run(*arguments.split())
    assert (result.code, result.err) == (0, "")
    rows = json.loads(result.out)
    assert [one["system"] for one in rows] == ["toccata", "transformers", "transformers"]
    assert all(list(one) == KEYS for one in rows)
    (plan,) = asked
    assert (plan.shape, plan.model, plan.seconds, plan.runs) == ("small", None, 10.0, 1)
    assert plan.systems == [
        ("toccata", "int8"),
        ("transformers", "fp32"),
        ("transformers", "bf16"),
    ]


def test_the_table_has_every_figure_with_its_unit(asked: list[Plan], run: Run) -> None:
    out = run("bench", "--shape", "tiny", "--compare", "transformers:bf16").out
    for expected in (
        "ms per step", "20.0", "x real time", "GB/s", "10.0", "of bandwidth", "50%",
        "first audio, s", "0.51", "peak, MB", "400", "weights, MB", "300", "20.0 GB/s",
        "toccata fp32 beside transformers fp32",
    ):  # fmt: skip
        assert expected in out.replace("\n", " ")


def test_without_options_the_settings_model_is_measured_as_users_run_it(
    asked: list[Plan], run: Run
) -> None:
    assert run("bench").code == 0
    (plan,) = asked
    assert (plan.model, plan.shape, plan.precisions, plan.device) == ("mini", None, [None], None)


def test_options_reach_the_measurement(asked: list[Plan], run: Run) -> None:
    options = "--model mini --precision int8,bf16 --runs 3 --seconds 2 --device cpu --profile"
    out = run("bench", *options.split()).out
    (plan,) = asked
    assert (plan.precisions, plan.runs, plan.device) == (["int8", "bf16"], 3, "cpu")
    assert "median of 3 runs" in out
    assert "75%" in out  # the codec's share


@pytest.mark.parametrize(
    ("arguments", "code", "cure"),
    [
        ("--shape huge", 2, "stereo-small"),
        ("--shape tiny --model mini", 2, "either"),
        ("--shape tiny --precision int9", 2, "int8"),
        ("--shape tiny --compare audacity", 2, "transformers"),
        ("--compare transformers", 2, "--shape"),
        ("--shape tiny --seconds 0", 2, "0.5 to 600"),
        ("--shape tiny --device toaster", 2, "cpu"),
    ],
)
def test_wrong_values_are_refused_with_the_cure(
    asked: list[Plan], run: Run, arguments: str, code: int, cure: str
) -> None:
    result = run("bench", *arguments.split())
    assert (result.code, asked) == (code, [])
    assert cure in result.err


def test_a_tiny_model_is_measured_for_real(run: Run) -> None:
    result = run("bench", "--shape", "tiny", "--seconds", "0.5", "--precision", "fp32", "--json")
    (found,) = json.loads(result.out)
    assert list(found) == KEYS
    assert (found["system"], found["precision"], found["device"]) == ("toccata", "fp32", "cpu")
    assert min(value for value in found.values() if isinstance(value, float)) > 0
