"""What is read: stdin and URIs, wherever a file may be named."""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import FakeToccata, Result, tone
from toccata.audio.files import read, write

Run = Callable[..., Result]
Feed = Callable[[bytes], None]


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Feed:
    """Put bytes into stdin."""

    def fed(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return fed


def wav_bytes(duration_s: float) -> bytes:
    target = io.BytesIO()
    write(target, tone(duration_s))
    return target.getvalue()


@pytest.mark.parametrize("arguments", [("-",), ("--prompt", "-"), ("-p", "/dev/stdin")])
def test_a_prompt_from_stdin(
    fake: FakeToccata, run: Run, feed: Feed, arguments: tuple[str, ...]
) -> None:
    feed("\ufeffein Walzer für Elise\n".encode())
    assert run("generate", *arguments, "-d", "0.1").code == 0
    assert fake.requests[0]["prompt"] == "ein Walzer für Elise"


def test_an_empty_prompt_from_stdin_is_none(fake: FakeToccata, run: Run, feed: Feed) -> None:
    feed(b"\n")
    result = run("generate", "-")
    assert result.code == 2
    assert "--prompt is missing" in result.err


def test_audio_from_stdin(fake: FakeToccata, run: Run, feed: Feed) -> None:
    feed(wav_bytes(1.5))
    assert run("generate", "--input-audio", "-", "-d", "0.1", "-n", "2").code == 0
    assert [one["melody"].duration_s for one in fake.requests] == [1.5, 1.5]


def test_a_terminal_is_no_audio(
    fake: FakeToccata, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    result = run("generate", "--input-audio", "-")
    assert result.code == 2
    assert "--input-audio: '-' is not valid; stdin is a terminal" in result.err


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (("generate", "-"), "--prompt"),
        (("generate", "--input-audio", "-"), "--input-audio"),
        (("generate", "--prompts", "/dev/stdin"), "--prompts"),
        (("encode-decode", "-"), "input_audio"),
        (("info", "-"), "files"),
    ],
)
def test_a_closed_stdin_is_said(
    fake: FakeToccata,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    flag: str,
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    result = run(*arguments)
    assert result.code == 2
    assert f"{flag}: '-' is not valid; stdin is closed: pipe something into it" in result.err
    assert not fake.loaded


@pytest.mark.parametrize(("data", "said"), [(b"", "is empty"), (b"hello there", "is text")])
def test_what_is_no_audio_on_stdin_is_said(
    fake: FakeToccata, run: Run, feed: Feed, data: bytes, said: str
) -> None:
    feed(data)
    result = run("generate", "--input-audio", "-")
    assert result.code == 3
    assert f"stdin: {said}" in result.err
    assert not fake.loaded


def test_uris_are_audio(fake: FakeToccata, run: Run) -> None:
    data = wav_bytes(0.5)
    Path("in.wav").write_bytes(data)
    inline = "data:audio/wav;base64," + base64.b64encode(data).decode()
    for uri in (Path("in.wav").resolve().as_uri(), f"file:{Path('in.wav').resolve()}", inline):
        assert run("generate", "--input-audio", uri, "-d", "0.1").code == 0
    assert [one["melody"].duration_s for one in fake.requests] == [0.5, 0.5, 0.5]


def test_encode_decode_reads_stdin(fake: FakeToccata, run: Run, feed: Feed) -> None:
    feed(wav_bytes(0.5))
    result = run("encode-decode", "-")
    assert result.out == "stdin-mini-encode-decode.wav\n"
    assert "of stdin through the codec of mini" in result.err


def test_info_reads_stdin_and_uris(fake: FakeToccata, run: Run, feed: Feed) -> None:
    run("generate", "a waltz", "-d", "0.5", "-o", "x.wav")
    feed(Path("x.wav").read_bytes())
    assert run("info", "-").out.startswith("stdin\n  0.5 s, 32000 Hz, 1 ch, wav\n  prompt: a waltz")
    uri = Path("x.wav").resolve().as_uri()
    assert "prompt: a waltz" in run("info", uri).out
    assert read(Path("x.wav")).channels == 1


def test_audio_by_address_is_read_for_every_row(fake: FakeToccata, run: Run) -> None:
    """There are more rows than slots, and two parts of one address."""
    rows = ["prompt,melody,start,duration"]
    for number in range(10):
        write(Path(f"{number}.wav"), tone(2.0))
        rows.append(f"x,{Path(f'{number}.wav').absolute().as_uri()},,0.1")
    rows.append(f"x,{Path('0.wav').absolute().as_uri()},1,0.1")
    Path("r.csv").write_text("\n".join(rows))
    result = run("generate", "--prompts", "r.csv", "-m", "melody")
    assert result.code == 0, result.err
    assert len(fake.requests) == 11
    assert fake.requests[-1]["melody"].duration_s == 1.0


def test_parts_of_stdin_are_read_from_one_copy(
    fake: FakeToccata, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(Path("in.wav"), tone(2.0))
    stdin = io.TextIOWrapper(io.BytesIO(Path("in.wav").read_bytes()))
    monkeypatch.setattr("sys.stdin", stdin)
    Path("r.csv").write_text("prompt,melody,start,duration\nx,-,0,0.1\nx,-,1,0.1\n")
    result = run("generate", "--prompts", "r.csv", "-m", "melody")
    assert result.code == 0, result.err
    assert [one["melody"].duration_s for one in fake.requests] == [2.0, 1.0]
