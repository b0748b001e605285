"""That figures are what they are called, and come by turns from processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from toccata.benchmark import speed
from toccata.benchmark.child import in_child
from toccata.benchmark.peers import chosen
from toccata.benchmark.report import COLUMNS, cells, comparisons
from toccata.benchmark.speed import Plan, Row, medians, run
from toccata.benchmark.task import Measured
from toccata.errors import InputError, MeasurementError, MissingExtraError

KEYS = [
    "system", "precision", "device", "ms_per_step", "times_real_time", "gb_per_s",
    "bandwidth_share", "first_audio_s", "peak_rss_mb", "weights_mb",
]  # fmt: skip
PEAK = """
import sys
from toccata.benchmark import random_model
from toccata.benchmark.machine import peak_rss_bytes
from toccata.benchmark.shapes import Shape
make = lambda dim: random_model.random_model(
    Shape(dim, 16, 4, 4 * dim, card=64, filters=4, dimension=16, text_dim=64, text_layers=1,
          text_heads=2, text_ffn_dim=64, text_vocabulary=64), sys.argv[1])
make(64)
before = peak_rss_bytes()
model = make(1024)
print((peak_rss_bytes() - before) / random_model.weights_bytes(model))
"""


def measured(ms_per_step: float, precision: str = "fp32") -> Measured:
    return Measured(
        precision=precision,
        device="cpu",
        ms_per_step=ms_per_step,
        times_real_time=20 / ms_per_step,
        gb_per_s=10.0,
        first_audio_s=0.51234567,
        peak_rss_mb=400.0,
        weights_mb=300.0,
    )


def row(system: str, *ms_per_step: float) -> Row:
    return medians(system, [measured(ms) for ms in ms_per_step], bandwidth_gb_per_s=20.0)


def test_a_row_has_the_keys_that_were_promised_and_medians() -> None:
    found = row("toccata", 10.0, 90.0, 20.0)
    assert list(found) == KEYS
    assert (found["ms_per_step"], found["times_real_time"]) == (20.0, 1.0)
    assert found["bandwidth_share"] == 0.5
    assert found["first_audio_s"] == 0.5123


def test_figures_are_written_in_the_units_of_their_heads() -> None:
    written = dict(zip(COLUMNS, cells(row("toccata", 20.0)), strict=True))
    assert written == {
        "ms_per_step": "20.0",
        "times_real_time": "1.00",
        "gb_per_s": "10.0",
        "bandwidth_share": "50%",
        "first_audio_s": "0.51",
        "peak_rss_mb": "400",
        "weights_mb": "300",
    }


def test_ours_is_compared_with_theirs() -> None:
    (line,) = comparisons([row("toccata", 20.0), row("transformers", 80.0)])
    assert "0.25 of the time per step" in line
    assert "4.0 times as fast" in line


def test_systems_run_by_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, dict[str, Any]]] = []

    def child(function: str, **arguments: Any) -> object:
        calls.append((function, arguments))
        if function == speed.BANDWIDTH:
            return {"gb_per_s": 20.0, "threads": 2}
        if function == speed.PROFILE:
            return {"clip": {"codec": 1.0}, "step": {"matrices": 2.0}}
        return measured(40.0, arguments["precision"] or "int8")

    monkeypatch.setattr(speed, "in_child", child)
    said: list[tuple[str, int, int]] = []
    peers = [("transformers", "fp32")]
    plan = Plan(seconds=2, shape="tiny", peers=peers, runs=2, profile=True)
    result = run(plan, lambda *progress: said.append(progress))
    assert [function.split(":")[0].split(".")[-1] for function, _ in calls] == [
        "ours", "peer_transformers", "machine", "ours", "peer_transformers", "machine", "profiling",
    ]  # fmt: skip
    assert [done for _, done, _ in said] == list(range(7))
    assert {total for *_, total in said} == {7}
    assert "transformers fp32, run 2 of 2" in [label for label, *_ in said]
    rows = result.to_json()
    assert [(one["system"], one["precision"]) for one in rows] == [
        ("toccata", "int8"),
        ("transformers", "fp32"),
    ]
    assert [list(one) for one in rows] == [[*KEYS, "profile"], KEYS]


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        ({"shape": "huge"}, "stereo-small"),
        ({"shape": "tiny", "model": "mini"}, "either"),
        ({}, "either"),
        ({"shape": "tiny", "seconds": 0.0}, "0.5 to 600"),
        ({"shape": "tiny", "runs": 0}, "1 or more"),
        ({"model": "mini", "peers": [("transformers", "fp32")]}, "--shape"),
        ({"shape": "tiny", "seconds": 60, "peers": [("transformers", "fp32")]}, "at most 30"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_the_cure(
    options: dict[str, Any], cure: str
) -> None:
    with pytest.raises(InputError, match=cure):
        Plan(**{"seconds": 2, **options})


def test_a_peer_runs_in_its_default_and_in_bf16_unless_it_is_said() -> None:
    assert chosen("transformers") == [("transformers", "fp32"), ("transformers", "bf16")]
    assert chosen("transformers:bf16, transformers:fp32") == [
        ("transformers", "bf16"),
        ("transformers", "fp32"),
    ]


@pytest.mark.parametrize("wrong", ["audacity", "transformers:int8", ""])
def test_unknown_peers_are_refused(wrong: str) -> None:
    with pytest.raises(InputError, match="compare"):
        chosen(wrong)


def test_a_peer_that_is_not_installed_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("toccata.benchmark.peers.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="pip install 'transformers"):
        chosen("transformers")


def test_an_error_of_a_child_keeps_its_words_and_exit_code() -> None:
    with pytest.raises(MeasurementError, match=r"^shape: 'huge' is not valid; .*small") as caught:
        in_child(speed.MEASURE, seconds=1, shape="huge")
    assert caught.value.exit_code == InputError.exit_code


def test_a_child_that_is_killed_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    killed = subprocess.CompletedProcess([], returncode=-9, stdout="", stderr="")
    monkeypatch.setattr("toccata.benchmark.child.subprocess.run", lambda *_, **__: killed)
    with pytest.raises(MeasurementError, match=r"signal 9.*fewer bits") as caught:
        in_child(speed.MEASURE)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("precision", ["fp32", "int8", "int4"])
def test_drawing_a_model_takes_little_more_than_its_weights(precision: str) -> None:
    command = [sys.executable, "-c", PEAK, precision]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    assert 0.9 < float(done.stdout.split()[-1]) < 1.6


def test_a_run_and_its_profile_are_sane() -> None:
    arguments: dict[str, Any] = {"precision": "int8", "seconds": 0.6, "shape": "tiny"}
    figures = in_child(speed.MEASURE, **arguments)
    assert min(value for value in figures.values() if isinstance(value, float)) > 0
    assert figures["peak_rss_mb"] > figures["weights_mb"]
    profile = in_child(speed.PROFILE, **arguments)
    json.dumps(profile)
    assert set(profile["clip"]) == {
        "text encoder", "prefill", "LM steps", "guidance, sampling", "codec", "level", "file",
        "rest",
    }  # fmt: skip
    assert set(profile["step"]) == {"attention", "matrices", "rest"}
    assert min([*profile["clip"].values(), *profile["step"].values()]) >= 0
