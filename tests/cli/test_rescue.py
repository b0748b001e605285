"""What cannot be written where it was to go is saved elsewhere, whole, clip by clip."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from tests.cli.conftest import FakeToccata, Result
from toccata.audio.files import read

Run = Callable[..., Result]

TWO = ("generate", "x", "-d", "0.1", "--seed", "1", "-n", "2", "-o", "there/x.wav")


@pytest.fixture
def folders(fake: FakeToccata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The folder for temporary files and the home; where the results were to go is gone."""
    folders = {name: tmp_path / name for name in ("temporary", "home")}
    for folder in folders.values():
        folder.mkdir()
    Path("there").mkdir()
    fake.on_generate = lambda: Path("there").rename("gone")
    monkeypatch.setattr("tempfile.tempdir", str(folders["temporary"]))
    monkeypatch.setenv("HOME", str(folders["home"]))
    return folders


class Full:
    """`os.fdopen` where a disk is full: a part is written, then no more."""

    def __init__(self, times: int) -> None:
        self._left, self._open = times, os.fdopen

    def __call__(self, handle: int, mode: str) -> IO[Any]:
        if self._left == 0:
            return self._open(handle, mode)
        self._left -= 1
        os.write(handle, b"RIFF")
        os.close(handle)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fill(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    monkeypatch.setattr("toccata.cli.places.os.fdopen", Full(times))


def test_a_full_folder_for_temporary_files_leaves_the_home(
    folders: dict[str, Path], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(monkeypatch, times=1)
    result = run(*TWO)
    assert result.code == 3
    [first], [second] = folders["home"].iterdir(), folders["temporary"].iterdir()
    assert result.out.split() == [str(first), str(second)]
    assert all(read(path).duration_s == pytest.approx(0.1) for path in (first, second))


def test_a_clip_that_can_be_saved_nowhere_does_not_keep_the_next_from_it(
    folders: dict[str, Path], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(monkeypatch, times=2)
    result = run(*TWO)
    assert result.code == 3
    assert "there/x-1.wav: cannot be written (No such file or directory), nor can" in result.err
    assert "No space left" in result.err
    [second] = folders["temporary"].iterdir()
    assert not list(folders["home"].iterdir())
    assert result.out.split() == [str(second)]
    assert read(second).duration_s == pytest.approx(0.1)
