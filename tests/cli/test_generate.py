"""`toccata generate`, from the arguments to the files."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import RATE_HZ, FakeToccata, Result, tone
from toccata.audio.files import read, write
from toccata.audio.tags import read_tags
from toccata.kernels.compiling import cache_folder

Run = Callable[..., Result]


def test_a_prompt_makes_a_file_and_says_where(fake: FakeToccata, run: Run) -> None:
    result = run("generate", "a waltz", "--duration", "0.5", "-o", "waltz.wav")
    assert (result.code, result.out) == (0, "waltz.wav\n")
    assert read(Path("waltz.wav")).duration_s == pytest.approx(0.5)
    assert fake.loaded["name"] == "mini"
    assert fake.requests[0]["prompt"] == "a waltz"


def test_a_first_start_says_what_takes_so_long(
    fake: FakeToccata, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none yet"))
    cache_folder.cache_clear()
    first = run("generate", "a waltz", "--duration", "0.5", "--device", "cpu")
    assert "compiling kernels" in first.err
    assert fake.warmed_up == 1
    compiled = cache_folder()
    assert compiled is not None
    (compiled / "kernel.nbi").touch()
    second = run("generate", "a waltz", "--duration", "0.5", "--device", "cpu")
    cache_folder.cache_clear()
    assert "compiling" not in second.err
    assert fake.warmed_up == 1


def test_every_input_has_a_flag(fake: FakeToccata, run: Run) -> None:
    write(Path("in.wav"), tone(2.0), "wav")
    flags = {
        "--model": "melody",
        "--prompt": "jazz",
        "--input-audio": "in.wav",
        "--duration": "0.25",
        "--continuation-start": "0.5",
        "--continuation-end": "1.5",
        "--normalization-strategy": "peak",
        "--top-k": "10",
        "--top-p": "0.5",
        "--temperature": "0.7",
        "--classifier-free-guidance": "2.5",
        "--output-format": "flac",
        "--seed": "7",
        "--stride": "12",
        "--cfg-beta": "4",
    }
    pairs = [part for pair in flags.items() for part in pair]
    assert run("generate", "--continuation", *pairs).out == "melody-7.flac\n"
    request = dict(fake.requests[0])
    assert request.pop("continue_from").duration_s == pytest.approx(1.0)
    assert request == {
        "prompt": "jazz",
        "duration_s": 0.25,
        "seed": 7,
        "melody": None,
        "top_k": 10,
        "top_p": 0.5,
        "temperature": 0.7,
        "cfg": 2.5,
        "normalization": "peak",
        "stride_s": 12.0,
        "cfg_beta": 4.0,
        "fade_in_s": 0.0,
        "fade_out_s": 0.0,
    }


def test_audio_without_continuation_is_a_melody(fake: FakeToccata, run: Run) -> None:
    write(Path("in.wav"), tone(1.0), "wav")
    assert run("generate", "--input-audio", "in.wav", "-d", "0.5", "-o", "a.wav").code == 0
    assert fake.requests[0]["melody"].duration_s == pytest.approx(1.0)
    assert fake.requests[0]["continue_from"] is None


def test_count_makes_variations_with_seeds_that_follow(fake: FakeToccata, run: Run) -> None:
    result = run("generate", "x", "-d", "0.1", "--seed", "5", "-n", "3", "-o", "x-{n}-{seed}.wav")
    assert result.out.split() == ["x-1-5.wav", "x-2-6.wav", "x-3-7.wav"]
    assert all(Path(name).exists() for name in result.out.split())


def test_json_says_everything_on_stdout_and_the_rest_on_stderr(fake: FakeToccata, run: Run) -> None:
    result = run("generate", "x", "-d", "0.5", "--seed", "1", "--json", "-o", "x.mp3", "-n", "1")
    described = json.loads(result.out)
    assert described == {
        "path": "x.mp3",
        "format": "mp3",
        "model": "mini",
        "prompt": "x",
        "seed": 1,
        "duration_s": 0.5,
        "sample_rate_hz": RATE_HZ,
        "channels": 1,
        "parameters": {"top_k": 250},
    }
    assert "seed 1" in result.err


def test_a_file_says_how_it_was_made(fake: FakeToccata, run: Run) -> None:
    run("generate", "a waltz", "-d", "0.5", "--seed", "3", "-o", "x.flac")
    tags = read_tags(Path("x.flac"))
    assert (tags["prompt"], tags["seed"], tags["model"]) == ("a waltz", "3", "mini")


def test_fades_are_asked_for(fake: FakeToccata, run: Run) -> None:
    run("generate", "x", "-d", "1", "--fade-in", "0.5", "--fade-out", "0.25", "-o", "x.wav")
    assert (fake.requests[0]["fade_in_s"], fake.requests[0]["fade_out_s"]) == (0.5, 0.25)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x", "-d", "99999", "--top-k", "x"], ["--duration: 99999.0 is", "--top-k: 'x' is"]),
        (["x", "--prompt", "y"], ["--prompt is given twice"]),
        (["x", "--model", "melodi"], ["did you mean melody"]),
        (["x", "-n", "2", "-o", "-"], ["--output", "one file"]),
        (["x", "-o", "-", "--json"], ["--output", "--json"]),
        (["x", "-o", "/proc/x.wav"], ["--output", "/proc", "cannot be written"]),
        (["x", "--bit-depth", "8", "-o", "x.wav"], ["--bit-depth: 8", "16, 24 or 32"]),
        (["x", "--bit-depth", "32", "-o", "x.flac"], ["--bit-depth: 32", "16 or 24"]),
        (["x", "--bitrate", "9", "-o", "x.mp3"], ["--bitrate: 9", "32, 40"]),
        (["x", "--stream", "-", "--bit-depth", "24"], ["one clip as 16-bit wav"]),
        (
            ["x", "--stream", "-", "--normalization-strategy", "peak"],
            ["--normalization-strategy", "loudness, rms, clip"],
        ),
        (["x", "--prompts", "none.csv"], ["--prompts", "none.csv", "No such file"]),
        (["x", "--prompts", "x.txt"], [".csv or .jsonl"]),
        (["-", "--input-audio", "-"], ["--input-audio", "stdin"]),
        (["x", "-o", "x.doc"], [".wav", ".flac"]),
        (["x", "-o", "x.wav", "--format", "mp3"], ["give one of the two"]),
        (["x", "-o", "nowhere/x.wav"], ["no folder nowhere"]),
        (["x", "-o", "{who}.wav"], ["{seed}", "{n}"]),
        (["x", "-o", "{seed.real}.wav"], ["{seed}"]),
        (["x", "-o", "{.wav"], ["{seed}"]),
        (["x", "--bitrate", "128", "-o", "x.wav"], ["bitrate", "mp3"]),
        (["x", "--bit-depth", "24", "-o", "x.mp3"], ["--bit-depth", "flac"]),
        (["x", "--raw"], ["--raw cannot be used alone; it goes with --stream"]),
        (["x", "--stream", "s.wav"], ["--output"]),
        (["x", "--stream", "-", "-n", "2"], ["one clip"]),
        (["x", "--stream", "-", "--fade-out", "1"], ["one clip"]),
        (["x", "--device", "gpu"], ["--device", "cuda"]),
        (["x", "--stride", "0"], ["--stride: 0.0 is not valid; it must be a number from 0.01 to"]),
        (["x", "--stride", "nan", "-n", "2"], ["--stride: nan"]),
        (
            ["x", "--continuation-start", "1", "--continuation-end", "2"],
            [
                "--continuation-start cannot be used alone; it needs audio",
                "--continuation-end cannot be used alone; it needs audio",
            ],
        ),
        (["x", "--seed", str(2**63 - 1), "-n", "2"], ["no room"]),
        (["--model", "large", "--input-audio", "a.wav"], ["melody-large"]),
        ([], ["--prompt is missing; give a prompt, a melody or audio to continue"]),
    ],
)
def test_wrong_requests_end_before_the_model_is_loaded(
    fake: FakeToccata, run: Run, arguments: list[str], said: list[str]
) -> None:
    result = run("generate", *arguments)
    assert result.code == 2
    assert all(word in result.err for word in said)
    assert "Traceback" not in result.err
    assert not fake.loaded
    assert not list(Path().iterdir())


def test_a_missing_input_file_is_an_audio_error(fake: FakeToccata, run: Run) -> None:
    result = run("generate", "--input-audio", "none.wav")
    assert result.code == 3
    assert "none.wav" in result.err


def test_ctrl_c_leaves_nothing_and_exits_130(fake: FakeToccata, run: Run) -> None:
    fake.interrupt = True
    result = run("generate", "x", "-o", "x.wav")
    assert result.code == 130
    assert "stopped" in result.err
    assert not list(Path().iterdir())


def test_someone_who_watches_sees_a_bar_and_someone_else_does_not(
    fake: FakeToccata, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\x1b[" not in run("generate", "x", "-d", "0.1", "--seed", "1").err
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert "\x1b[" in run("generate", "x", "-d", "0.1", "--seed", "1").err


def test_the_environment_names_the_model(
    fake: FakeToccata, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOCCATA_MODEL", "small")
    monkeypatch.setenv("TOCCATA_OFFLINE", "1")
    run("generate", "x", "-d", "0.1")
    assert fake.loaded["name"] == "small"
    assert fake.loaded["offline"] is True


def test_a_folder_or_a_repository_may_be_the_model(fake: FakeToccata, run: Run) -> None:
    Path("mine").mkdir()
    assert run("generate", "x", "-d", "0.1", "--model", "mine", "--seed", "1").code == 0
    result = run("generate", "x", "-d", "0.1", "--model", "facebook/musicgen-small", "--seed", "1")
    assert result.out == "musicgen-small-1.wav\n"


def test_a_terminal_gets_no_stream(
    fake: FakeToccata, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "terminal" in run("generate", "x", "--stream", "-").err


def test_stream_to_stdout_is_wav_or_samples_alone(
    fake: FakeToccata, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    from toccata.cli import main

    command = ["generate", "x", "-d", "0.5", "--normalization-strategy", "clip"]
    with pytest.raises(SystemExit):
        main([*command, "--stream", "-"])
    whole = capfdbinary.readouterr().out
    with pytest.raises(SystemExit):
        main([*command, "--stream", "-", "--raw"])
    bare = capfdbinary.readouterr().out
    assert whole[:4] == b"RIFF"
    assert whole[-len(bare) :] == bare
    assert struct.unpack("<I", whole[4:8]) == (len(whole) - 8,)
    assert struct.unpack("<I", whole[40:44]) == (len(bare),)
    assert len(bare) == RATE_HZ // 2 * 2
    assert max(struct.unpack(f"<{len(bare) // 2}h", bare)) == pytest.approx(2**14, rel=0.01)


def test_encode_decode_as_a_model_version(fake: FakeToccata, run: Run) -> None:
    write(Path("in.wav"), tone(2.0), "wav")
    result = run("generate", "--model-version", "encode-decode", "--input-audio", "in.wav")
    assert result.code == 0
    assert fake.loaded["name"] == "mini"


@pytest.mark.parametrize("flag", ["--fade-in", "--fade-out", "--cfg-beta"])
@pytest.mark.parametrize("value", ["nan", "-1.0", "601.0"])
def test_a_number_out_of_range_is_told_with_its_value(
    fake: FakeToccata, run: Run, flag: str, value: str
) -> None:
    result = run("generate", "x", "-d", "1", flag, value)
    assert result.code == 2
    assert result.err.startswith(
        f"error: {flag}: {value} is not valid; it must be a number from 0 to "
    )
    assert not fake.loaded


@pytest.mark.parametrize(
    ("own", "hosted"),
    [
        (["--melody", "in.wav"], ["--input-audio", "in.wav"]),
        (["--continue-from", "in.wav"], ["--input-audio", "in.wav", "--continuation"]),
        (
            ["--continue-from", "in.wav", "--start", "0.5", "--end", "1.5"],
            ["--input-audio", "in.wav", "--continuation", "--continuation-start", "0.5",
             "--continuation-end", "1.5"],
        ),
        (["--cfg", "2"], ["--classifier-free-guidance", "2"]),
        (["--normalization", "peak"], ["--normalization-strategy", "peak"]),
        (["-m", "melody", "--format", "flac"],
         ["--model-version", "melody", "--output-format", "flac"]),
    ],
)  # fmt: skip
def test_the_names_of_the_hosted_service_are_aliases(
    fake: FakeToccata, run: Run, own: list[str], hosted: list[str]
) -> None:
    write(Path("in.wav"), tone(2.0))
    results = [run("generate", "x", "-d", "0.5", "--seed", "1", *each) for each in (own, hosted)]
    assert [result.code for result in results] == [0, 0], results
    first, second = fake.requests
    for name in ("melody", "continue_from"):
        audio = [one[name] for one in (first, second)]
        assert (audio[0] is None) == (audio[1] is None)
        if audio[0] is not None:
            assert np.array_equal(audio[0].samples, audio[1].samples)
    others = [
        {name: value for name, value in one.items() if name not in ("melody", "continue_from")}
        for one in (first, second)
    ]
    assert others[0] == others[1]
    assert Path(results[0].out.strip()).suffix == Path(results[1].out.strip()).suffix


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--melody", "a.wav", "--continue-from", "b.wav"], "--continue-from cannot be used with"),
        (["--input-audio", "a.wav", "--melody", "b.wav"], "--input-audio cannot be used with"),
        (["--melody", "a.wav", "--continuation"], "--continuation cannot be used alone"),
        (["--melody", "a.wav", "--continuation", "-d", "0"], "--duration: 0.0 is not valid"),
    ],
)
def test_audio_in_two_roles_is_refused(
    fake: FakeToccata, run: Run, arguments: list[str], problem: str
) -> None:
    result = run("generate", "x", *arguments)
    assert (result.code, fake.loaded) == (2, {})
    assert problem in result.err


def test_a_column_may_not_be_named_twice_by_its_aliases(fake: FakeToccata, run: Run) -> None:
    Path("r.csv").write_text("prompt,cfg,classifier_free_guidance\nx,2,3\n")
    result = run("generate", "--prompts", "r.csv")
    assert result.code == 2
    assert "classifier_free_guidance is given twice, as cfg too" in result.err


def test_encode_decode_refuses_what_it_does_not_use(fake: FakeToccata, run: Run) -> None:
    write(Path("in.wav"), tone(1.0))
    common = ("generate", "-m", "encode-decode", "--melody", "in.wav")
    result = run(*common, "-d", "5", "--fade-in", "1")
    assert (result.code, fake.loaded) == (2, {})
    assert "--duration cannot be used with encode-decode" in result.err
    assert "--fade-in cannot be used with encode-decode" in result.err
    Path("r.csv").write_text("model,melody,prompt\nencode-decode,in.wav,\nmini,,x\n")
    assert run("generate", "--prompts", "r.csv", "-d", "0.5", "--seed", "1").code == 0


@pytest.mark.parametrize("flag", ["--end", "--continuation-end"])
def test_an_end_of_minus_one_is_the_end_of_the_audio(
    fake: FakeToccata, run: Run, flag: str
) -> None:
    write(Path("in.wav"), tone(1.0))
    assert run("generate", "--continue-from", "in.wav", flag, "-1", "-d", "0.1").code == 0
    assert fake.requests[0]["continue_from"].duration_s == 1.0
