from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from toccata.errors import InputError
from toccata.finetuning.config_file import load_config


@dataclass(frozen=True)
class Inner:
    ratios: tuple[int, ...] = (2, 3)


@dataclass(frozen=True)
class Outer:
    out: str
    rate: float = 1.0
    steps: int = 10
    inner: Inner = field(default_factory=Inner)
    louder: Mapping[str, float] = field(default_factory=dict)


def read(tmp_path: Path, text: str) -> Outer:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return load_config(path, Outer)


def test_nested_values_and_defaults(tmp_path: Path) -> None:
    run = read(tmp_path, "out: here\nrate: 2\ninner:\n  ratios: [4, 5]\n")
    assert run == Outer("here", 2, 10, Inner((4, 5)))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("out: here\nstep: 3\n", r"run.yaml.step: .* did you mean steps\? known keys: out, rate"),
        ("out: here\nzebra: 3\n", "run.yaml.zebra: 3 is not valid; known keys: out, rate"),
        ("rate: 2\n", "run.yaml.out"),
        ("out: here\ninner: {ratio: 3}\n", "run.yaml.inner.ratio"),
        ("out: here\nsteps: many\n", "run.yaml.steps"),
        ("out: here\nsteps: 2.5\n", "run.yaml.steps"),
        ("out: here\ninner: {ratios: [4, many]}\n", r"run.yaml.inner.ratios\[1\]"),
        ("out: here\ninner: {ratios: 4}\n", "run.yaml.inner.ratios"),
        ("out: here\nlouder: drums\n", "run.yaml.louder"),
        ("- out\n", "run.yaml"),
        ("out: 5\n", "run.yaml.out: 5 is not valid; give a text"),
        ("out: here\nsteps: true\n", "run.yaml.steps: True is not valid; give a whole number"),
        ("out: here\nrate: fast\n", "run.yaml.rate: 'fast' is not valid; give a number"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(InputError, match=named):
        read(tmp_path, text)


def test_numbers_may_be_written_as_people_do(tmp_path: Path) -> None:
    assert read(tmp_path, "out: here\nrate: 1e-4\n").rate == 1e-4


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.yaml"):
        load_config(tmp_path / "absent.yaml", Outer)
