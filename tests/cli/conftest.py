"""A pipeline that makes tones at once, in place of the real one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

import toccata
from toccata import cli
from toccata.audio.waveform import Waveform
from toccata.errors import ToccataError
from toccata.generation.clip import Clip, Progress
from toccata.generation.request import GenerationRequest

RATE_HZ = 32_000


def tone(duration_s: float, pitch_hz: float = 440.0) -> Waveform:
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    samples = 0.5 * np.sin(2 * np.pi * pitch_hz * time_s, dtype=np.float32)
    return Waveform(samples[None].astype(np.float32), RATE_HZ)


@dataclass
class FakeToccata:
    """Remembers what it was asked for. `interrupt` is Ctrl-C in the middle of the work."""

    loaded: dict[str, Any] = field(default_factory=dict)
    requests: list[Mapping[str, Any]] = field(default_factory=list)
    interrupt: bool = False
    warmed_up: int = 0
    on_generate: Callable[[], object] = lambda: None  # what happens meanwhile

    def warm_up(self) -> None:
        self.warmed_up += 1

    def load(self, name: str, **options: Any) -> FakeToccata:
        self.loaded = {"name": name, **options}
        return self

    def resolve(self, request: GenerationRequest) -> GenerationRequest:
        return request

    def generate_each(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: Callable[[Progress], None] | None = None,
        cancel: Callable[[], bool] = lambda: False,
    ) -> Iterator[Clip | ToccataError]:
        self.requests += map(dict, requests)
        self.on_generate()
        for step in range(3):
            if on_progress is not None:
                on_progress(Progress(step + 1, 3))
            if self.interrupt:
                raise KeyboardInterrupt
        for one in requests:
            yield self._clip(tone(one.duration_s), one.seed or 0, one.prompt or "")

    def stream(self, **request: Any) -> Iterator[Waveform]:
        self.requests.append(request)
        for _ in range(2):
            yield tone(request["duration_s"] / 2)
            if self.interrupt:
                raise KeyboardInterrupt

    def encode_decode(self, waveform: Waveform, **_: Any) -> Clip:
        return self._clip(waveform, 0, "")

    def _clip(self, waveform: Waveform, seed: int, prompt: str) -> Clip:
        return Clip(
            waveform.samples,
            waveform.sample_rate_hz,
            seed=seed,
            model=self.loaded["name"],
            prompt=prompt,
            parameters={"top_k": "250"},
        )


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeToccata:
    """The fake in place of `toccata.load`, in an empty folder and a clean environment."""
    fake = FakeToccata()
    monkeypatch.setitem(vars(toccata), "load", fake.load)
    monkeypatch.chdir(tmp_path)
    for variable in ("TOCCATA_MODEL", "TOCCATA_DEVICE", "TOCCATA_PRECISION", "TOCCATA_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    return fake


@dataclass(frozen=True)
class Result:
    """How a command line ended, and what it said."""

    code: int
    out: str
    err: str


def runner(
    commands: typer.Typer, program: str, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """A function that runs a command line as the shell would."""

    def call(*arguments: str) -> Result:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.run(commands, program, arguments)
        captured = capsys.readouterr()
        code = ended.value.code
        return Result(code if isinstance(code, int) else 0, captured.out, captured.err)

    return call


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run `toccata` as the shell would."""
    return runner(cli.app, "toccata", capsys)


def repeated_defaults(help_text: str) -> list[str]:
    """The options of a command's help that name their default more than once."""
    options = (option.split("\n\n")[0] for option in re.split(r"\n  (?=-)", help_text))
    named = (" ".join(option.split()) for option in options)
    return [words for words in named if len(re.findall(r"\bdefault:", words, re.IGNORECASE)) > 1]
