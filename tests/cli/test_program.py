"""The program as a whole: help, version, errors, the commands around `generate`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import FakeToccata, Result, repeated_defaults, tone
from toccata import __version__
from toccata.audio.files import read, write
from toccata.cli import main
from toccata.cli.inputs import INPUTS
from toccata.errors import CheckpointError
from toccata.models import loading
from toccata.models.checkpoints import native
from toccata.server.hosted_inputs import EXTENDED

Run = Callable[..., Result]

COMMANDS = ["generate", "encode-decode", "models", "convert", "info", "train", "bench"]


def test_help_names_every_command_and_shows_examples(run: Run) -> None:
    result = run("--help")
    assert result.code == 0
    assert all(f"  {command} " in result.out for command in COMMANDS)
    assert "toccata generate" in result.out


def test_help_of_generate_has_every_input_in_the_words_of_the_table(run: Run) -> None:
    text = " ".join(run("generate", "--help").out.split())
    for field in INPUTS.fields:
        assert f"--{field.name.replace('_', '-')}" in text
        assert field.description in text
    for hosted in EXTENDED.names:
        assert f"--{hosted.replace('_', '-')}" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run: Run, command: str) -> None:
    assert run(command, "--help").code == 0


def test_version(run: Run) -> None:
    assert run("--version").out == f"toccata {__version__}\n"


def test_an_unknown_option_is_a_wrong_value(run: Run) -> None:
    assert run("generate", "--bogus").code == 2


def test_errors_of_the_library_keep_their_exit_code(
    fake: FakeToccata, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str, **_: object) -> None:
        raise CheckpointError(f"{name}/model.safetensors: is cut short; fetch it again")

    monkeypatch.setattr("toccata.load", broken)
    result = run("generate", "x")
    assert result.code == 4
    assert result.err == "error: mini/model.safetensors: is cut short; fetch it again\n"
    with pytest.raises(CheckpointError):
        main(["generate", "x", "--debug"])


def test_encode_decode_of_a_part(fake: FakeToccata, run: Run) -> None:
    write(Path("in.wav"), tone(2.0), "wav")
    arguments = ("in.wav", "--start", "0.5", "--end", "1", "-m", "melody", "-o", "out.wav")
    result = run("encode-decode", *arguments)
    assert (result.code, result.out) == (0, "out.wav\n")
    assert fake.loaded["name"] == "melody"
    assert read(Path("out.wav")).duration_s == pytest.approx(0.5)


def test_info_shows_a_stranger_s_tags_on_one_line_and_without_escapes(
    fake: FakeToccata, run: Run
) -> None:
    hostile = "calm\x1b[2J\r\n  seed: 7\u2028é"
    write(Path("x.flac"), tone(0.1), tags={"prompt": hostile})
    shown = run("info", "x.flac").out
    assert "\x1b" not in shown
    assert "  prompt: calm\\x1b[2J\\r\\n  seed: 7\\u2028é\n" in shown
    assert json.loads(run("info", "x.flac", "--json").out)["prompt"] == hostile


def test_info_shows_how_a_file_was_made(fake: FakeToccata, run: Run) -> None:
    run("generate", "a waltz", "-d", "0.5", "--seed", "3", "-o", "x.mp3")
    assert "prompt: a waltz" in run("info", "x.mp3").out
    described = json.loads(run("info", "x.mp3", "--json").out)
    assert (described["path"], described["seed"], described["top_k"]) == ("x.mp3", 3, 250)
    assert described["audio"] == {
        "duration_s": 0.5,
        "format": "mp3",
        "sample_rate_hz": 32000,
        "channels": 1,
    }
    assert "0.5 s, 32000 Hz, 1 ch, mp3" in run("info", "x.mp3").out


def test_a_prompt_of_digits_stays_text(fake: FakeToccata, run: Run) -> None:
    run("generate", "1984", "-d", "0.5", "-o", "x.wav")
    assert json.loads(run("info", "x.wav", "--json").out)["prompt"] == "1984"


def test_info_says_what_a_clip_continues(fake: FakeToccata, run: Run) -> None:
    Path("mine").mkdir()
    write(Path("mine/in.wav"), tone(2.0), "wav")
    inputs = ("--input-audio", "mine/in.wav", "--continuation-end", "1.5", "-d", "0.5")
    run("generate", *inputs, "--continuation", "-o", "longer.wav")
    run("generate", *inputs, "-o", "melody.wav")
    longer = json.loads(run("info", "longer.wav", "--json").out)
    assert (longer["continuation_of"], longer["continuation_of_end_s"]) == ("in.wav", 1.5)
    assert "melody_of: in.wav" in run("info", "melody.wav").out


def test_info_of_a_file_from_elsewhere(fake: FakeToccata, run: Run) -> None:
    write(Path("in.wav"), tone(0.5), "wav")
    assert "no tags" in run("info", "in.wav").out


def test_convert_writes_what_was_loaded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[object, ...]] = []
    requested: dict[str, object] = {}

    def load(name: str, **options: object) -> str:
        requested.update(options, name=name)
        return "the loaded model"

    monkeypatch.setattr(loading, "load_model", load)
    monkeypatch.setattr(native, "write", lambda *inputs: written.append(inputs))
    assert run("convert", "melody", "there", "--precision", "bf16").out == "there\n"
    assert written == [("the loaded model", Path("there"))]
    assert (requested["name"], requested["precision"], requested["as_trained"]) == (
        "melody",
        "bf16",
        True,
    )


def test_python_dash_m() -> None:
    command = [sys.executable, "-m", "toccata", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout == f"toccata {__version__}\n"


@pytest.mark.parametrize(
    "command",
    [
        "generate",
        "encode-decode",
        "serve",
        "convert",
        "measure",
        "bench",
        "train lora",
        "train full",
    ],
)
def test_no_option_has_two_defaults(run: Run, command: str) -> None:
    assert repeated_defaults(run(*command.split(), "--help").out) == []


def test_info_of_a_wrong_file_stops_no_other(run: Run, fake: FakeToccata) -> None:
    write(Path("good.wav"), tone(0.5), "wav")
    Path("text.wav").write_text("no audio")
    result = run("info", "missing.wav", "good.wav", "text.wav")
    assert result.code == 3
    assert result.out.startswith("good.wav\n  0.5 s")
    assert [line[:18] for line in result.err.splitlines()] == [
        "error: missing.wav",
        "error: text.wav: i",
    ]
