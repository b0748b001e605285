"""Nobody can be told: stdout and stderr that are full, broken or closed lose no clip."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from json import loads
from pathlib import Path
from typing import Any, TextIO

import pytest

from tests.cli.conftest import FakeToccata
from toccata.audio.files import read
from toccata.cli import main

THREE = ("generate", "x", "-d", "0.1", "--seed", "3", "-n", "3", "-o", "x.wav")


@pytest.fixture
def stream(request: pytest.FixtureRequest) -> Iterator[TextIO | None]:
    """A stream that takes nothing: a full disk, a pipe whose reader has gone, or none."""
    if request.param == "closed":
        yield None
        return
    file = full() if request.param == "full" else broken()
    yield file
    os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())  # so that it can be closed
    file.close()


def full() -> TextIO:
    """Without a buffer, as with PYTHONUNBUFFERED."""
    raw: Any = io.FileIO("/dev/full", "w")
    return io.TextIOWrapper(raw, write_through=True)


def broken() -> TextIO:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w", buffering=1)


def code_of(*arguments: str) -> object:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code


def three_are_there() -> bool:
    return all(read(Path(f"x-{n}.wav")).duration_s == pytest.approx(0.1) for n in (1, 2, 3))


@pytest.mark.parametrize("json", [(), ("--json",)])
@pytest.mark.parametrize("stream", ["full", "broken", "closed"], indirect=True)
def test_all_clips_are_written_where_stdout_takes_nothing(
    fake: FakeToccata,
    stream: TextIO | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    json: tuple[str, ...],
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        assert code_of(*THREE, *json) == 1
    said = capsys.readouterr().err
    assert "error: stdout: cannot be written" in said
    assert "the results are saved in x-1.wav, x-2.wav, x-3.wav" in said
    assert three_are_there()


@pytest.mark.parametrize("stream", ["full", "broken", "closed"], indirect=True)
def test_all_clips_are_written_where_stderr_takes_nothing(
    fake: FakeToccata,
    stream: TextIO | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        assert code_of(*THREE) == (0 if stream is None else 1)  # closed: nobody listens
    assert capsys.readouterr().out.split() == ["x-1.wav", "x-2.wav", "x-3.wav"]
    assert three_are_there()


@pytest.mark.parametrize("option", [("-o", "-"), ("--stream", "-")])
def test_a_closed_stdout_is_refused_before_composing(
    fake: FakeToccata,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: tuple[str, str],
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        assert code_of("generate", "x", "-d", "0.1", *option) == 2
    assert "stdout is closed" in capsys.readouterr().err
    assert not fake.loaded


def test_an_error_that_cannot_be_said_keeps_its_code() -> None:
    command = [sys.executable, "-m", "toccata", "info", "/none.wav"]
    with Path("/dev/full").open("w") as nowhere:
        done = subprocess.run(command, stderr=nowhere, check=False)  # noqa: S603
    assert done.returncode == 3


class Disk(io.RawIOBase):
    """A disk with room for `left` writes."""

    def __init__(self, left: int) -> None:
        self._left = left

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return os.open(os.devnull, os.O_WRONLY)

    def write(self, data: Any) -> int:
        self._left -= 1
        if self._left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return len(bytes(data))


@pytest.mark.parametrize(("room", "duration_s"), [(0, 0.5), (1, 1.0)])
@pytest.mark.parametrize("more", [(), ("--raw",)])
def test_a_stream_to_a_full_disk_loses_no_music(  # noqa: PLR0917
    fake: FakeToccata,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    room: int,
    duration_s: float,
) -> None:
    elsewhere = Path.cwd() / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    clip = ("--normalization-strategy", "clip")
    with monkeypatch.context() as patch:
        disk: Any = Disk(room)
        patch.setattr(sys, "stdout", io.TextIOWrapper(disk))
        assert code_of("generate", "x", "-d", "1", "--stream", "-", *clip, *more) == 3
    [saved] = elsewhere.iterdir()
    said = capsys.readouterr().err
    assert "error: stdout: cannot be written (No space left on device): make room there" in said
    assert f"the music so far is saved in {saved}" in said
    assert read(saved).duration_s == pytest.approx(duration_s)


class Sips(io.RawIOBase):
    """A file without a buffer that takes a part of each write, as a pipe or a full disk may."""

    def __init__(self) -> None:
        self.taken = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)[:1000]
        self.taken += part
        return len(part)


@pytest.mark.parametrize("option", [("-o", "-"), ("--stream", "-")])
def test_short_writes_to_stdout_lose_no_music(
    fake: FakeToccata, monkeypatch: pytest.MonkeyPatch, option: tuple[str, str]
) -> None:
    sips: Any = Sips()
    clip = ("--normalization-strategy", "clip")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(sips, write_through=True))
        assert code_of("generate", "x", "-d", "1", *clip, *option) == 0
    assert read(bytes(sips.taken)).duration_s == pytest.approx(1.0)


@pytest.mark.parametrize("json", [(), ("--json",)])
def test_an_encoding_that_lacks_characters_loses_no_word(
    fake: FakeToccata, monkeypatch: pytest.MonkeyPatch, json: tuple[str, ...]
) -> None:
    target = io.BytesIO()
    cyrillic = io.TextIOWrapper(target, encoding="cp1251")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", cyrillic)
        assert code_of("generate", "caf\u00e9", "-d", "0.1", "-o", "caf\u00e9.wav", *json) == 0
    assert read(Path("caf\u00e9.wav")).duration_s == pytest.approx(0.1)
    said = target.getvalue().decode("ascii")
    if json:
        assert loads(said)["path"] == "caf\u00e9.wav"
    else:
        assert said == "caf\\xe9.wav\n"
