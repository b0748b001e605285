"""What is said while a command works, with and without a terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

import pytest

from tests.cli.conftest import FakeToccata, Result
from toccata.cli import report

Run = Callable[..., Result]


class Heard:
    """Lines, as they are said."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._event = threading.Event()

    def say(self, line: str) -> None:
        self.lines.append(line)
        self._event.set()

    def wait(self) -> None:
        self._event.clear()
        assert self._event.wait(30)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    heard = Heard()
    monkeypatch.setattr(report, "say", heard.say)
    monkeypatch.setattr(report, "LINE_S", 0.001)
    return heard


@pytest.mark.parametrize("kind", [report.working, report.lines])
def test_lines_come_without_a_terminal(heard: Heard, kind: Callable[..., object]) -> None:
    before = set(threading.enumerate())
    with kind("training") as advance:  # type: ignore[attr-defined]
        heard.wait()
        assert heard.lines[0].startswith("training: 0 s so far")
        advance(1, 4, "step 1 of 4")
        heard.wait()
        heard.wait()
    assert "step 1 of 4: 25%" in heard.lines[-1]
    assert "left" in heard.lines[-1]
    said = len(heard.lines)
    assert set(threading.enumerate()) <= before
    assert len(heard.lines) == said


def test_work_that_is_soon_done_says_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with report.working("loading"):
        pass
    assert capsys.readouterr().err == ""


def test_a_terminal_has_a_bar_and_no_lines(
    heard: Heard, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with report.working("loading") as advance:
        advance(1, 2)
    assert heard.lines == []


@pytest.mark.parametrize(
    ("seconds", "words"), [(9.6, "10 s"), (61, "1 min 01 s"), (3600, "60 min 00 s")]
)
def test_durations_are_read_easily(seconds: float, words: str) -> None:
    assert report._duration(seconds) == words


def test_generate_says_how_far_it_is(fake: FakeToccata, run: Run, heard: Heard) -> None:
    fake.on_generate = heard.wait
    assert run("generate", "x", "-d", "0.1").code == 0
    assert any(line.startswith("composing: ") for line in heard.lines)
